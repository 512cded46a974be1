-- Snapshots of servers' disks: the id is the snapshot's name at the node, `asked` what a worker shall do with it.
create table snapshots (
    id text primary key,
    server_id text not null references servers (id),
    name text not null,
    asked text check (asked in ('take', 'revert', 'drop')),
    asked_at bigint,
    reverts bigint not null default 0,
    taken_at bigint,
    error text,
    created_at bigint not null,
    unique (server_id, name)
);
-- Numbers the returns to any snapshot of a server, so that each is done once.
alter table servers add column reverts bigint not null default 0;
