-- SPDX-License-Identifier: Apache-2.0
-- Said once, to the primary, as postgres: the role and the database that topupd uses. `topupd migrate` makes the tables.
CREATE ROLE topupd LOGIN PASSWORD '@TOPUPD_PASSWORD@';
CREATE DATABASE topupd OWNER topupd ENCODING 'UTF8' LOCALE 'C.UTF-8' TEMPLATE template0;
