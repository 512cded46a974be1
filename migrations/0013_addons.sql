-- Add-ons: what is offered, and which server has which.
create table addons (
    id text primary key,
    key text not null unique,
    name text not null,
    kind text not null,
    count bigint not null check (count > 0),
    keep_days bigint not null check (keep_days > 0),
    hidden boolean not null
);

create table addon_prices (
    addon_id text not null references addons (id),
    currency text not null,
    cycle text not null,
    amount bigint not null check (amount >= 0),
    primary key (addon_id, currency, cycle)
);

-- The plans that an add-on is offered with; none: all.
create table addon_products (
    addon_id text not null references addons (id),
    product_id text not null references products (id),
    primary key (addon_id, product_id)
);

-- `price` and `margin` are for a period, `held` and `held_tax` for what is left of one at the request.
create table server_addons (
    id text primary key,
    server_id text not null references servers (id),
    addon_id text not null references addons (id),
    kind text not null,
    name text not null,
    count bigint not null,
    keep_days bigint not null,
    state text not null check (state in ('ordered', 'held', 'active', 'ending', 'ended', 'failed')),
    price bigint not null,
    margin bigint not null,
    held bigint not null default 0,
    held_margin bigint not null default 0,
    held_tax bigint not null default 0,
    held_tax_bp bigint not null default 0,
    currency text not null,
    from_at bigint,
    until_at bigint,
    asked_no bigint not null default 0,
    error text,
    created_at bigint not null,
    ended_at bigint
);
create index server_addons_server on server_addons (server_id);
create unique index server_addons_live on server_addons (server_id, kind) where state in ('ordered', 'held', 'active', 'ending');
create index server_addons_ending on server_addons (until_at) where state = 'ending';

-- Which add-on a line is for, by its id at the server.
alter table lease_lines add column addon text;

-- A pool that is handed out in blocks, and the add-on that an address or a block belongs to; none: the server's own.
alter table pools add column blocks bigint;
alter table addresses add column addon text;

-- What the guest is to be given, and was given.
alter table servers add column addresses_asked bigint not null default 0;
alter table servers add column addresses_done bigint not null default 0;

-- Until when a nightly snapshot is kept; none: until its owner removes it.
alter table snapshots add column keep_until bigint;
