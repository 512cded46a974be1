-- The servers: what is asked (goal, generation, asked template), what is found (the rest), and the work columns.
create table servers (
    id text primary key,
    account_id text not null references accounts (id),
    product_id text not null references products (id),
    region_id text not null references regions (id),
    template_id text not null references templates (id),
    build_template_id text not null references templates (id),
    label text not null,
    hostname text not null,
    vcpu bigint not null,
    ram_mb bigint not null,
    disk_gb bigint not null,
    status text not null check (status in ('pending', 'building', 'running', 'stopped', 'suspended', 'failed', 'terminated')),
    status_reason text,
    goal text not null check (goal in ('running', 'stopped', 'terminated')),
    generation bigint not null,
    build text not null check (build in ('first', 'reinstall')),
    cursor text,
    reboot_asked bigint not null default 0,
    reboot_done bigint not null default 0,
    password_asked bigint not null default 0,
    password_done bigint not null default 0,
    password_error text,
    node_id text references nodes (id),
    vmid bigint,
    mac text,
    installed bigint,
    endpoint text,
    booted boolean not null default false,
    power text,
    agent text,
    absent_at bigint,
    excluded text not null default '[]',
    handle text,
    step_since bigint,
    ordered_at bigint not null,
    deadline_at bigint,
    held_at bigint,
    created_at bigint not null,
    running_at bigint,
    ended_at bigint,
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
create index servers_due on servers (next_at, id) where next_at is not null;
create index servers_account on servers (account_id, id);
create index servers_node on servers (node_id) where node_id is not null;

create table holds (
    server_id text not null references servers (id),
    kind text not null,
    reason text not null,
    placed_at bigint not null,
    until_at bigint,
    primary key (server_id, kind)
);

-- The step log: the intent is written before the hypervisor is asked, the outcome after.
create table server_steps (
    server_id text not null references servers (id),
    no bigint not null,
    generation bigint not null,
    step text not null,
    attempt bigint not null,
    epoch bigint not null,
    worker text not null,
    started_at bigint not null,
    ended_at bigint,
    outcome text,
    detail text,
    primary key (server_id, no)
);

-- Room taken on a node: one row a server that may have a machine.
create table reservations (
    server_id text primary key references servers (id),
    node_id text not null references nodes (id),
    vmid bigint not null,
    vcpu bigint not null,
    ram_mb bigint not null,
    disk_gb bigint not null,
    unique (node_id, vmid)
);

create table addresses (
    address text primary key,
    pool_id text not null references pools (id),
    family bigint not null,
    no bigint not null,
    server_id text references servers (id),
    taken_at bigint,
    free_at bigint not null,
    hidden boolean not null
);
create index addresses_server on addresses (server_id) where server_id is not null;
create index addresses_free on addresses (pool_id, no) where server_id is null;

-- Machines that nobody owns, and servers whose machine is gone, as the nodes queue saw them.
create table drift (
    node_id text not null references nodes (id),
    subject text not null,
    kind text not null,
    mark text,
    first_seen_at bigint not null,
    seen_at bigint not null,
    primary key (node_id, subject, kind)
);
