CREATE TABLE sweeps (
    key      INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    question TEXT,
    tuned    TEXT NOT NULL,                 -- JSON array of keys, minimised over on the validation split
    source   TEXT NOT NULL,                 -- the sweep file's text
    created  REAL NOT NULL                  -- seconds since the Unix epoch, as all times here
) STRICT;

CREATE TABLE runs (
    key           INTEGER PRIMARY KEY,
    id            TEXT NOT NULL UNIQUE,     -- hash of the config
    config        TEXT NOT NULL,            -- JSON, run::RunConfig
    io            TEXT NOT NULL,            -- JSON, model::Io
    arch          TEXT NOT NULL,
    task          TEXT NOT NULL,
    params        INTEGER NOT NULL,
    active_params INTEGER NOT NULL,
    forward_flops INTEGER NOT NULL,         -- of one example
    train_flops   REAL NOT NULL,            -- of the run
    examples      INTEGER NOT NULL,         -- unique training examples
    steps         INTEGER NOT NULL,
    seed          INTEGER NOT NULL,
    state         TEXT NOT NULL DEFAULT 'to_do'
                  CHECK (state IN ('to_do', 'running', 'stopped', 'done', 'diverged', 'failed')),
    step          INTEGER,                  -- of stopped and diverged
    reason        TEXT                      -- of failed
) STRICT;

CREATE TABLE sweep_runs (
    sweep    INTEGER NOT NULL REFERENCES sweeps (key),
    position INTEGER NOT NULL,              -- order in the plan
    run      INTEGER NOT NULL REFERENCES runs (key),
    label    TEXT NOT NULL,                 -- curve it belongs to
    cell     TEXT NOT NULL,                 -- equal for runs that differ in tuned keys and seed only
    PRIMARY KEY (sweep, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX sweeps_of_run ON sweep_runs (run);

CREATE TABLE attempts (
    run                 INTEGER NOT NULL REFERENCES runs (key),
    attempt             INTEGER NOT NULL,
    started             REAL,
    host                TEXT,
    device              TEXT,
    pid                 INTEGER,
    from_step           INTEGER,
    ended               REAL,
    seconds             REAL,
    examples_per_second REAL,
    outcome             TEXT,               -- JSON, event::Outcome; null while it runs or when it was killed
    PRIMARY KEY (run, attempt)
) STRICT, WITHOUT ROWID;

CREATE TABLE metric_names (
    key  INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE
) STRICT;

-- A resumed run says some steps again: the primary key keeps the first.
CREATE TABLE metrics (
    run    INTEGER NOT NULL,
    step   INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    value  REAL NOT NULL,
    PRIMARY KEY (run, step, metric)
) STRICT, WITHOUT ROWID;

-- How far each run's events.jsonl has been read.
CREATE TABLE logs (
    run      INTEGER PRIMARY KEY REFERENCES runs (key),
    consumed INTEGER NOT NULL,              -- bytes, up to the end of a line
    lines    INTEGER NOT NULL,
    skipped  INTEGER NOT NULL               -- lines that could not be read
) STRICT;
