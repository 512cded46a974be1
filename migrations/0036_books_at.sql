-- Until when restored books know the world: their last sign of life before the restoration.
alter table restoration add column books_at bigint;
