-- A process says what is in its way; rows that were put aside are counted without a walk over all.
alter table processes add column trouble text;
create index servers_parked on servers (id) where parked_at is not null;
create index nodes_parked on nodes (id) where parked_at is not null;
create index mails_parked on mails (id) where parked_at is not null;
-- The audit looks for the charge of every posted order.
create index charges_transfer on charges (transfer) where transfer is not null;
