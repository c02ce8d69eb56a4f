-- Digest of a sweep's record and of its file, as they were written together; null where that is not known.
ALTER TABLE sweeps ADD COLUMN written TEXT;
