-- PostgreSQL only, repeatable: room for HOT updates on rows that change often, early vacuum on the work tables.
alter table wallets set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
alter table leases set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02);
alter table servers set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
alter table nodes set (fillfactor = 70);
alter table webhook_deliveries set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
alter table mails set (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02);
create or replace view servers_readable as
select s.id, s.label, s.status, s.goal, s.generation, s.cursor, s.node_id,
       to_timestamp(s.next_at / 1000.0) as next_at, s.claimed_by, s.attempt, s.last_error,
       to_timestamp(s.created_at / 1000.0) as created_at
from servers s;
create or replace view transfers_readable as
select t.reference, t.wallet, t.debit, t.credit, t.amount, t.currency, t.code, t.state, to_timestamp(t.created_at / 1000.0) as created_at
from transfers t;
-- Counts of a minute: no commit of theirs waits for the disk, and a server that crashed begins to count anew.
alter table api_calls set unlogged;
