-- What a customer says of a snapshot, how its machine was when it was taken, and when the disk last began from it.
alter table snapshots add column description text;
alter table snapshots add column powered_on boolean;
alter table snapshots add column base_at bigint;
