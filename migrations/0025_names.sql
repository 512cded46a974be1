-- What addresses resolve to, one row each that ever resolved to something: published by workers where there is a DNS server for it.
create table names (
    id text primary key,
    name text,
    published_at bigint,
    next_at bigint,
    claimed_by text,
    claimed_until bigint,
    epoch bigint not null default 0,
    wants bigint not null default 0,
    attempt bigint not null default 0,
    lost bigint not null default 0,
    last_error text,
    parked_at bigint
);
create index names_due on names (next_at, id) where next_at is not null;
create index names_parked on names (id) where parked_at is not null;
insert into names (id, name) select address, ptr from addresses where ptr is not null;
alter table addresses drop column ptr;
-- Programs that look for the column are not to be started any more.
update schema_info set min_binary = 2 where id = 1;
