-- The HTTP API: an account's tier, as the host names it, and how often a key or an address asked within a minute.
alter table accounts add column tier text not null default 'standard';
create table api_calls (
    who text not null,
    minute bigint not null,
    calls bigint not null,
    primary key (who, minute)
);
