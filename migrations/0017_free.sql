-- Since when a hold that is free stands at the lease's server; apart from `down_at`, which a delivery ends.
alter table leases add column free_at bigint;
update leases set free_at = down_at where server_id in (select server_id from holds where free);
update leases set down_at = null where free_at is not null and server_id in (select id from servers where status <> 'failed' and (build = 'first' or status not in ('pending', 'building')));
