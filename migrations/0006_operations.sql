-- What an operator looks at: what needs a person, what ran, who is alive, who did what.
create table attention (
    id text primary key,
    kind text not null,
    subject text not null,
    detail text not null,
    dedup_key text not null,
    opened_at bigint not null,
    mailed_at bigint,
    closed_at bigint,
    closed_by text
);
create unique index attention_open on attention (dedup_key) where closed_at is null;

create table runs (
    queue text not null,
    row_id text not null,
    epoch bigint not null,
    worker text not null,
    started_at bigint not null,
    ended_at bigint not null,
    outcome text not null,
    error text,
    primary key (queue, row_id, epoch)
);
create index runs_ended on runs (ended_at);

create table processes (
    name text primary key,
    role text not null,
    host text not null,
    version text not null,
    queues text not null,
    started_at bigint not null,
    seen_at bigint not null
);

create table ticks (
    name text primary key,
    next_at bigint not null,
    paused boolean not null,
    started_at bigint,
    ended_at bigint,
    runs bigint not null,
    last_error text
);

-- Written unchained with the change; the seal tick gives committed rows their place in the chain.
create table activity (
    id text primary key,
    actor text not null,
    action text not null,
    account_id text,
    server_id text,
    detail text not null,
    origin text not null,
    created_at bigint not null,
    seq bigint unique,
    hash text
);
create index activity_unsealed on activity (id) where seq is null;
create index activity_server on activity (server_id, id) where server_id is not null;
create index activity_account on activity (account_id, id) where account_id is not null;

-- One row: the mode a database was made for, how far simulated time runs ahead, the latest instant ever seen.
create table clock (
    id bigint primary key check (id = 1),
    mode text not null check (mode in ('system', 'simulated')),
    offset_ms bigint not null,
    highest bigint not null
);

-- The oldest program that may use this schema.
create table schema_info (
    id bigint primary key check (id = 1),
    min_binary bigint not null
);
insert into schema_info (id, min_binary) values (1, 1);
