-- What a hold does to the machine, whether the lease is charged while it stands, and whether the machine's network was found plugged in;
-- null from the moment that it is to be switched until that is known to be done.
alter table holds add column means text not null default 'power_off';
alter table holds add column free boolean not null default false;
alter table servers add column link text default 'up';
