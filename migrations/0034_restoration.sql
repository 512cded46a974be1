-- That these books are older than the world: a backup was restored, or a standby took over that had not heard everything. At most one row; while it is
-- not released, nothing is placed, destroyed or numbered. `series` is what the years of invoice numbers are followed by since then.
create table restoration (
    id bigint not null primary key check (id = 1),
    at bigint not null,
    why text not null,
    released_at bigint,
    series text not null default ''
);

-- Numbers of documents that were issued after the backup: known to the world, and to no row.
create table lost_documents (
    series text not null,
    first bigint not null,
    last bigint not null,
    primary key (series, first)
);
