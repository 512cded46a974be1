-- What is sold and where it is built. Rows are hidden, never deleted.
create table regions (
    id text primary key,
    name text not null,
    hidden boolean not null
);

create table nodes (
    id text primary key,
    region_id text not null references regions (id),
    backend text not null,
    settings text not null,
    vcpu bigint not null,
    ram_mb bigint not null,
    disk_gb bigint not null,
    builds bigint not null,
    state text not null check (state in ('active', 'drain', 'offline')),
    hidden boolean not null,
    next_vmid bigint not null,
    boot_id text,
    seen_at bigint,
    failing_since bigint,
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
create index nodes_due on nodes (next_at, id) where next_at is not null;

create table templates (
    id text primary key,
    family text not null,
    label text not null,
    icon text,
    color text,
    image text not null,
    min_disk_gb bigint not null,
    username text not null,
    hidden boolean not null
);

create table pools (
    id text primary key,
    region_id text not null references regions (id),
    family bigint not null check (family in (4, 6)),
    cidr text not null,
    gateway text not null,
    hidden boolean not null
);

create table products (
    id text primary key,
    key text not null unique,
    name text not null,
    vcpu bigint not null,
    ram_mb bigint not null,
    disk_gb bigint not null,
    bandwidth_gb bigint not null,
    hidden boolean not null
);

create table prices (
    product_id text not null references products (id),
    currency text not null,
    cycle text not null,
    amount bigint not null check (amount >= 0),
    primary key (product_id, currency, cycle)
);

create table product_regions (
    product_id text not null references products (id),
    region_id text not null references regions (id),
    primary key (product_id, region_id)
);
