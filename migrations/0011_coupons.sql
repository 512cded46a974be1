-- Coupons, and which order used which; one that never ran gives its use back.
create table coupons (
    code text primary key,
    percent bigint check (percent between 0 and 100),
    amount bigint check (amount > 0),
    currency text,
    periods bigint check (periods > 0),
    uses bigint,
    uses_per_account bigint,
    used bigint not null default 0 check (used >= 0),
    from_at bigint,
    until_at bigint,
    products text not null,
    imported boolean not null,
    disabled_at bigint,
    created_at bigint not null,
    check ((percent is null) <> (amount is null)),
    check ((amount is null) = (currency is null))
);

create table redemptions (
    server_id text primary key,
    coupon text not null references coupons (code),
    account_id text not null,
    redeemed_at bigint not null,
    returned_at bigint
);
create index redemptions_coupon on redemptions (coupon, account_id) where returned_at is null;
