-- How many leases are expected to fall due on a day, counted while nothing was due. Days are numbered from 1970-01-01, UTC.
create table forecasts (
    day bigint primary key,
    renewals bigint not null
);
insert into forecasts (day, renewals) select paid_until / 86400000, count(*) from leases where state = 'active' and paid_until is not null group by 1;
