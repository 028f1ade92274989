-- SPDX-License-Identifier: Apache-2.0
--
-- The tables of the store. Made for tens of millions of orders and SIMs that are met in random order, so each table is clustered by the key
-- it is looked up with and carries no index that an order would have to write at a random place.
--
-- Instants are milliseconds since 1970-01-01T00:00:00Z. ICCIDs are packed (core/iccid.h). Enumerations are the numbers of core/*.h.
-- Absent is NULL. An id of 16 bytes is a UUID version 7 whose last 20 bits are the partner's number (base/id.h).

-- Small facts about the store itself: 'number' is the highest row number given out in blocks, 'ping' the last readiness check.
CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO meta (name, value) VALUES ('number', 0), ('ping', 0);

CREATE TABLE partner (
    id              INTEGER PRIMARY KEY CHECK (id BETWEEN 1 AND 1048575),
    client_id       TEXT    NOT NULL CHECK (length(client_id) BETWEEN 1 AND 64),
    name            TEXT    NOT NULL,
    mode            INTEGER NOT NULL CHECK (mode IN (0, 1)),
    disabled        INTEGER NOT NULL CHECK (disabled IN (0, 1)),
    needs           INTEGER NOT NULL,
    currencies      TEXT    NOT NULL,
    cap_day         INTEGER NOT NULL CHECK (cap_day >= 0),
    cap_month       INTEGER NOT NULL CHECK (cap_month >= 0),
    rate_per_minute INTEGER NOT NULL CHECK (rate_per_minute >= -1),
    event_days      INTEGER NOT NULL CHECK (event_days >= 0),
    clock_offset_ms INTEGER NOT NULL,
    created         INTEGER NOT NULL,
    thresholds      BLOB    NOT NULL -- a byte each, in percent, ascending
) STRICT;
CREATE UNIQUE INDEX partner_client_id ON partner (client_id);
CREATE INDEX partner_sandbox ON partner (id) WHERE mode = 1; -- whose clocks are looked at

CREATE TABLE partner_secret (
    partner_id INTEGER NOT NULL REFERENCES partner (id),
    number     INTEGER NOT NULL, -- grows: the newest is the highest
    salt       BLOB    NOT NULL CHECK (length(salt) = 16),
    sha256     BLOB    NOT NULL CHECK (length(sha256) = 32),
    expires    INTEGER,
    PRIMARY KEY (partner_id, number)
) STRICT, WITHOUT ROWID;

-- The last number given to an event of the partner. Narrow and apart from partner: it is written in every batch.
CREATE TABLE partner_sequence (
    partner_id INTEGER PRIMARY KEY REFERENCES partner (id),
    last       INTEGER NOT NULL CHECK (last >= 0)
) STRICT;

-- New activations by period: a day as 20261123, a month as 202611.
CREATE TABLE cap (
    partner_id INTEGER NOT NULL REFERENCES partner (id),
    period     INTEGER NOT NULL,
    count      INTEGER NOT NULL CHECK (count >= 0),
    PRIMARY KEY (partner_id, period)
) STRICT, WITHOUT ROWID;

CREATE TABLE operator_token (
    sha256  BLOB    PRIMARY KEY CHECK (length(sha256) = 32),
    name    TEXT    NOT NULL,
    created INTEGER NOT NULL,
    expires INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE signing_key (
    kid     TEXT    PRIMARY KEY,
    number  INTEGER NOT NULL, -- grows: the newest is the highest
    pem     TEXT    NOT NULL,
    created INTEGER NOT NULL,
    retired INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE product (
    id             INTEGER PRIMARY KEY,
    partner_id     INTEGER NOT NULL REFERENCES partner (id),
    public_id      TEXT    NOT NULL CHECK (length(public_id) BETWEEN 43 AND 44),
    name           TEXT    NOT NULL,
    sim_types      INTEGER NOT NULL CHECK (sim_types BETWEEN 1 AND 3),
    duration       INTEGER NOT NULL CHECK (duration > 0),
    duration_unit  INTEGER NOT NULL CHECK (duration_unit IN (0, 1)),
    data           INTEGER NOT NULL CHECK (data > 0),
    data_unit      INTEGER NOT NULL CHECK (data_unit IN (0, 1)),
    price_minor    INTEGER NOT NULL CHECK (price_minor >= 0),
    price_currency TEXT    NOT NULL CHECK (length(price_currency) = 3),
    footprint_code TEXT,
    first_usage    INTEGER NOT NULL CHECK (first_usage IN (0, 1)),
    on_sale        INTEGER NOT NULL CHECK (on_sale IN (0, 1))
) STRICT;
CREATE UNIQUE INDEX product_public_id ON product (partner_id, public_id);
CREATE UNIQUE INDEX product_of_partner ON product (partner_id, id); -- what orders and subscriptions refer to: a product of their own partner

CREATE TABLE sim (
    iccid       INTEGER PRIMARY KEY CHECK (iccid >= 0),
    partner_id  INTEGER REFERENCES partner (id), -- NULL: the operator's general stock
    type        INTEGER NOT NULL CHECK (type IN (1, 2)),
    service     INTEGER NOT NULL CHECK (service BETWEEN 0 AND 2),
    esim        INTEGER NOT NULL CHECK (esim BETWEEN 0 AND 4 AND (esim = 0) = (type = 2)),
    imsi        TEXT,
    msisdn      TEXT,
    eid         TEXT,
    matching_id TEXT,
    smdp        TEXT,
    activated   INTEGER,
    modified    INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX sim_imsi ON sim (imsi) WHERE imsi IS NOT NULL;
CREATE UNIQUE INDEX sim_msisdn ON sim (msisdn) WHERE msisdn IS NOT NULL;
CREATE UNIQUE INDEX sim_matching_id ON sim (matching_id) WHERE matching_id IS NOT NULL;
CREATE INDEX sim_of_partner ON sim (partner_id, iccid);                                        -- written on import and assignment only
CREATE INDEX sim_profile_stock ON sim (partner_id, iccid) WHERE service = 0 AND type = 1 AND esim = 1; -- what an eSIM order takes from
CREATE INDEX sim_active ON sim (partner_id, iccid) WHERE service = 2;

CREATE TABLE sim_notification (
    iccid INTEGER NOT NULL REFERENCES sim (iccid),
    type  INTEGER NOT NULL CHECK (type BETWEEN 0 AND 2),
    url   TEXT    NOT NULL,
    PRIMARY KEY (iccid, type)
) STRICT, WITHOUT ROWID;

-- Clustered by partner and time. There is no index over all orders besides the key: a completed order is found by its SIM through its
-- subscription, an unfinished one through its tasks, and for the few that failed there are indexes of their own. No foreign key to sim
-- (subscription and the rules hold that): checking one would cost a look-up for each order and removing a SIM would read all orders.
CREATE TABLE orders (
    partner_id     INTEGER NOT NULL,
    id             BLOB    NOT NULL CHECK (length(id) = 16),
    state          INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    operation      INTEGER NOT NULL CHECK (operation IN (0, 1)),
    sim_type       INTEGER NOT NULL CHECK (sim_type IN (1, 2)),
    country        TEXT    NOT NULL,
    product_id     INTEGER NOT NULL,
    iccid          INTEGER,
    created        INTEGER NOT NULL,
    finished       INTEGER,
    sold_minor     INTEGER,
    sold_currency  TEXT,
    activation     INTEGER,
    expiration     INTEGER,
    correlation_id TEXT,
    reference      TEXT,
    matching_id    TEXT,
    smdp           TEXT,
    failure        TEXT,
    email          TEXT,
    first_name     TEXT,
    last_name      TEXT,
    residence      TEXT,
    language       TEXT,
    device_os      TEXT,
    device_model   TEXT,
    device_id      TEXT,
    device_eid     TEXT,
    PRIMARY KEY (partner_id, id),
    FOREIGN KEY (partner_id, product_id) REFERENCES product (partner_id, id)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX orders_reference ON orders (partner_id, reference) WHERE reference IS NOT NULL;
CREATE INDEX orders_failed ON orders (partner_id, id) WHERE state = 3;
CREATE INDEX orders_failed_iccid ON orders (iccid) WHERE state = 3;

-- The calls that unfinished orders still need; those of finished orders are removed by and by, so the table stays small.
-- wake_at is lease_until while the task is claimed, otherwise due_at: the instant from which it may be taken.
CREATE TABLE task (
    id          INTEGER PRIMARY KEY,
    partner_id  INTEGER NOT NULL,
    order_id    BLOB    NOT NULL,
    step        INTEGER NOT NULL CHECK (step BETWEEN 0 AND 15),
    kind        INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 3),
    lane        INTEGER NOT NULL CHECK (lane BETWEEN 0 AND 2),
    state       INTEGER NOT NULL CHECK (state BETWEEN 0 AND 6),
    verb        INTEGER NOT NULL CHECK (verb BETWEEN 0 AND 2),
    iccid       INTEGER,
    due_at      INTEGER NOT NULL,
    wake_at     INTEGER NOT NULL,
    lease_until INTEGER,
    lease_owner INTEGER NOT NULL,
    attempts    INTEGER NOT NULL CHECK (attempts >= 0),
    outcome     INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 4),
    peer        TEXT,
    note        TEXT,
    started     INTEGER,
    settled     INTEGER,
    history     TEXT, -- a line for each call to an outside peer (core/task.h)
    FOREIGN KEY (partner_id, order_id) REFERENCES orders (partner_id, id)
) STRICT;
CREATE UNIQUE INDEX task_of_order ON task (order_id, step);
CREATE INDEX task_due ON task (lane, kind, wake_at, id) WHERE state IN (1, 2);
CREATE INDEX task_open_on_sim ON task (iccid, id) WHERE state <= 3;

-- The key of a subscription is its SIM and the id of the order that made it; its id alone finds it through the order. Kept in the order in
-- which they were made, with a narrow index by SIM: SIMs come at random, so an order writes a page at a random place, and of the index there
-- are a third as many pages as of rows that stand by SIM. No foreign key to orders: the order is written in the same transaction or was
-- before, and without an index for it removing an order would read all subscriptions of its partner.
-- clock: 0 for the real time, a sandbox partner's number for its own.
CREATE TABLE subscription (
    iccid         INTEGER NOT NULL REFERENCES sim (iccid),
    id            BLOB    NOT NULL CHECK (length(id) = 16),
    partner_id    INTEGER NOT NULL,
    product_id    INTEGER NOT NULL,
    clock         INTEGER NOT NULL,
    name          TEXT    NOT NULL,
    email         TEXT,
    state         INTEGER NOT NULL CHECK (state BETWEEN 0 AND 4),
    ended         INTEGER NOT NULL CHECK (ended BETWEEN 0 AND 3),
    created       INTEGER NOT NULL,
    activation    INTEGER,
    expiry        INTEGER CHECK (expiry > activation OR (expiry = activation AND ended = 3)), -- 3: expired by call, maybe at once
    next_at       INTEGER CHECK (next_at IS NULL OR state <= 2),
    duration      INTEGER NOT NULL,
    duration_unit INTEGER NOT NULL CHECK (duration_unit IN (0, 1)),
    first_usage   INTEGER NOT NULL CHECK (first_usage IN (0, 1)),
    wanted_expiry INTEGER,
    initial_bytes INTEGER NOT NULL,
    spent_bytes   INTEGER NOT NULL CHECK (spent_bytes BETWEEN 0 AND initial_bytes),
    balance_as_of INTEGER,
    sold_minor    INTEGER,
    sold_currency TEXT,
    FOREIGN KEY (partner_id, product_id) REFERENCES product (partner_id, id)
) STRICT;
CREATE UNIQUE INDEX subscription_key ON subscription (iccid, id);
CREATE INDEX subscription_of_partner ON subscription (partner_id, created, id); -- grows at its end
CREATE INDEX subscription_email ON subscription (partner_id, email COLLATE NOCASE) WHERE email IS NOT NULL;
-- (clock, next_at, id): what is due stands in the order in which it is taken, however many are due at one instant.
CREATE INDEX subscription_timer ON subscription (clock, next_at, id) WHERE next_at IS NOT NULL;

-- Every usage record that was taken, so that each counts once, and where its bytes went: to subscriptions, and what is left of it unrated. The
-- partner is the one whose SIM it was; NULL, like the ICCID, when the SIM was not known. `received` is real time, other instants the partner's.
CREATE TABLE usage_record (
    id            INTEGER PRIMARY KEY, -- grows
    source        TEXT    NOT NULL,
    record_id     TEXT    NOT NULL,
    named         INTEGER NOT NULL CHECK (named BETWEEN 0 AND 2),
    number        TEXT    NOT NULL,
    iccid         INTEGER,
    partner_id    INTEGER,
    bytes_up      INTEGER NOT NULL CHECK (bytes_up >= 0),
    bytes_down    INTEGER NOT NULL CHECK (bytes_down >= 0),
    started       INTEGER NOT NULL,
    ended         INTEGER NOT NULL CHECK (ended >= started),
    received      INTEGER NOT NULL,
    reason        INTEGER NOT NULL CHECK (reason BETWEEN 0 AND 3 AND (reason = 0) = (unrated_bytes = 0)),
    unrated_bytes INTEGER NOT NULL CHECK (unrated_bytes BETWEEN 0 AND bytes_up + bytes_down)
) STRICT;
CREATE UNIQUE INDEX usage_record_id ON usage_record (source, record_id);
CREATE INDEX usage_record_of_sim ON usage_record (iccid, id) WHERE iccid IS NOT NULL;
CREATE INDEX usage_record_unrated ON usage_record (id) WHERE unrated_bytes > 0;

CREATE TABLE usage_booking (
    usage_id        INTEGER NOT NULL REFERENCES usage_record (id),
    step            INTEGER NOT NULL CHECK (step >= 0),
    subscription_id BLOB    NOT NULL CHECK (length(subscription_id) = 16),
    bytes           INTEGER NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (usage_id, step)
) STRICT, WITHOUT ROWID;

CREATE TABLE event (
    partner_id INTEGER NOT NULL,
    sequence   INTEGER NOT NULL CHECK (sequence > 0),
    type       INTEGER NOT NULL CHECK (type > 0),
    created    INTEGER NOT NULL,
    order_id   BLOB,
    iccid      INTEGER,
    payload    BLOB    NOT NULL,
    PRIMARY KEY (partner_id, sequence)
) STRICT, WITHOUT ROWID;

-- Endpoints to which a partner's events are delivered (core/webhook.h). epoch: see there; cursor: the next event; lease: which node delivers.
CREATE TABLE webhook (
    partner_id    INTEGER NOT NULL REFERENCES partner (id),
    id            BLOB    NOT NULL CHECK (length(id) = 16),
    url           TEXT    NOT NULL,
    types         TEXT    NOT NULL,
    state         INTEGER NOT NULL CHECK (state BETWEEN 0 AND 3),
    created       INTEGER NOT NULL,
    modified      INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,
    cursor        INTEGER NOT NULL CHECK (cursor > 0),
    attempts      INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 10),
    due           INTEGER,
    failing_since INTEGER,
    lease_until   INTEGER,
    lease_owner   INTEGER NOT NULL,
    PRIMARY KEY (partner_id, id)
) STRICT, WITHOUT ROWID;

-- What deliveries are signed with: needed in clear, as signing keys are.
CREATE TABLE webhook_secret (
    partner_id INTEGER NOT NULL,
    webhook_id BLOB    NOT NULL,
    number     INTEGER NOT NULL, -- grows: the newest is the highest
    secret     BLOB    NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    expires    INTEGER,
    PRIMARY KEY (partner_id, webhook_id, number),
    FOREIGN KEY (partner_id, webhook_id) REFERENCES webhook (partner_id, id)
) STRICT, WITHOUT ROWID;

-- Attempts, and those that were asked for and are still to be made (outcome 0). Old ones are dropped, and all but the newest of an endpoint.
CREATE TABLE webhook_delivery (
    partner_id    INTEGER NOT NULL,
    webhook_id    BLOB    NOT NULL,
    id            BLOB    NOT NULL CHECK (length(id) = 16),
    kind          INTEGER NOT NULL CHECK (kind BETWEEN 0 AND 2),
    outcome       INTEGER NOT NULL CHECK (outcome BETWEEN 0 AND 4),
    sequence      INTEGER NOT NULL CHECK (sequence >= 0),
    event_type    INTEGER NOT NULL,
    event_created INTEGER NOT NULL,
    attempt       INTEGER NOT NULL CHECK (attempt >= 0),
    tried         INTEGER,
    duration_ms   INTEGER NOT NULL,
    status        INTEGER NOT NULL,
    answer        TEXT,
    trouble       TEXT,
    next          INTEGER,
    PRIMARY KEY (partner_id, webhook_id, id),
    FOREIGN KEY (partner_id, webhook_id) REFERENCES webhook (partner_id, id)
) STRICT, WITHOUT ROWID;
CREATE INDEX webhook_delivery_pending ON webhook_delivery (partner_id, webhook_id, id) WHERE outcome = 0;

-- Notifications of one SIM that are still to be delivered. Each SIM and type is a queue of its own, of which the first has a wake: when it
-- may be tried, or its lease ends. No foreign keys: a row whose SIM, preference or event has gone is dropped when its turn comes.
CREATE TABLE notification (
    iccid       INTEGER NOT NULL,
    type        INTEGER NOT NULL CHECK (type BETWEEN 0 AND 2),
    sequence    INTEGER NOT NULL,
    partner_id  INTEGER NOT NULL,
    attempts    INTEGER NOT NULL CHECK (attempts BETWEEN 0 AND 10),
    wake        INTEGER,
    lease_owner INTEGER NOT NULL,
    PRIMARY KEY (iccid, type, sequence)
) STRICT, WITHOUT ROWID;
CREATE INDEX notification_due ON notification (partner_id, wake) WHERE wake IS NOT NULL;

-- The answers of calls that came with an Idempotency-Key. Rows are appended and go from the other end when they are old; the index has the
-- key as it came, because keys that grow with time (UUIDv7, ULID, counters) then append, too.
-- state 0: in work (by `owner`, last heard of at `since`; body is a note of how far it has come), 1: answered (at `since`).
CREATE TABLE idempotency (
    id         INTEGER PRIMARY KEY,
    partner_id INTEGER NOT NULL,
    key        TEXT    NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    digest     BLOB    NOT NULL CHECK (length(digest) = 32),
    state      INTEGER NOT NULL CHECK (state IN (0, 1)),
    owner      INTEGER NOT NULL,
    since      INTEGER NOT NULL,
    status     INTEGER NOT NULL CHECK (status = 0 OR (state = 1 AND status BETWEEN 200 AND 499)),
    headers    TEXT    NOT NULL,
    body       BLOB    NOT NULL
) STRICT;
CREATE UNIQUE INDEX idempotency_key ON idempotency (partner_id, key);

-- SIMs on their way in: staged line by line, judged, then applied or dropped, each in slices (store_import.c). Nothing is unique here: that
-- is what is judged, by the indexes. verdict: 1 fresh (until it is judged: not faulty by itself), 2 the same as what is there, beyond: why it
-- is refused (store_import.c); other: the line or SIM it collides with. What has been applied is no longer here.
CREATE TABLE import (
    id        INTEGER PRIMARY KEY,
    source    TEXT    NOT NULL,
    begun     INTEGER NOT NULL,
    state     INTEGER NOT NULL CHECK (state BETWEEN 0 AND 5), -- staging, judging, judged, applying, applied, dropped
    judged_to INTEGER NOT NULL, -- the last line that was judged
    staged    INTEGER NOT NULL, -- numbers of rows: all; of those judged, by verdict; put into stock
    fresh     INTEGER NOT NULL,
    same      INTEGER NOT NULL,
    bad       INTEGER NOT NULL,
    inserted  INTEGER NOT NULL
) STRICT;
CREATE TABLE import_row (
    import_id   INTEGER NOT NULL REFERENCES import (id),
    line        INTEGER NOT NULL,
    verdict     INTEGER NOT NULL,
    other       INTEGER,
    fault       TEXT,
    iccid       INTEGER,
    partner_id  INTEGER,
    type        INTEGER,
    service     INTEGER,
    esim        INTEGER,
    imsi        TEXT,
    msisdn      TEXT,
    eid         TEXT,
    matching_id TEXT,
    smdp        TEXT,
    activated   INTEGER,
    modified    INTEGER,
    PRIMARY KEY (import_id, line)
) STRICT, WITHOUT ROWID;
CREATE INDEX import_row_iccid ON import_row (import_id, iccid) WHERE iccid IS NOT NULL;
CREATE INDEX import_row_imsi ON import_row (import_id, imsi) WHERE imsi IS NOT NULL;
CREATE INDEX import_row_msisdn ON import_row (import_id, msisdn) WHERE msisdn IS NOT NULL;
CREATE INDEX import_row_matching_id ON import_row (import_id, matching_id) WHERE matching_id IS NOT NULL;

-- The nodes that share a store: who has which number, and until when (store_node.h).
CREATE TABLE node (
    number      INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 1023),
    instance    INTEGER NOT NULL CHECK (instance > 0),
    name        TEXT    NOT NULL,
    role        INTEGER NOT NULL CHECK (role BETWEEN 0 AND 2),
    started     INTEGER NOT NULL,
    lease_until INTEGER NOT NULL
) STRICT;

-- What each node has taken of a partner's calls in a minute, of those that are counted together.
CREATE TABLE rate (
    partner_id INTEGER NOT NULL,
    bucket     TEXT    NOT NULL,
    node       INTEGER NOT NULL,
    period     INTEGER NOT NULL,
    taken      INTEGER NOT NULL,
    PRIMARY KEY (partner_id, bucket, node)
) STRICT, WITHOUT ROWID;
