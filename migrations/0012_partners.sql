-- Partners buy for less: by the tier that their purchases of 30 days reach, or by an agreed percentage.
create table tiers (
    name text not null,
    currency text not null,
    amount bigint not null check (amount >= 0),
    percent bigint not null check (percent between 0 and 100),
    primary key (name, currency)
);

create table partners (
    account_id text primary key references accounts (id),
    percent bigint check (percent between 0 and 100),
    since_at bigint not null
);
