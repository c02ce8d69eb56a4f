-- Lines of a run's events.jsonl that say nothing that was not known.
ALTER TABLE logs ADD COLUMN repeated INTEGER NOT NULL DEFAULT 0;
