-- SPDX-License-Identifier: Apache-2.0
--
-- The tables of the store: those of sql/sqlite, column by column, in PostgreSQL's words. Texts are compared byte by byte, as there.
--
-- Instants are milliseconds since 1970-01-01T00:00:00Z. ICCIDs are packed (core/iccid.h). Enumerations are the numbers of core/*.h.
-- Absent is NULL. An id of 16 bytes is a UUID version 7 whose last 20 bits are the partner's number (base/id.h).

-- Small facts about the store itself: 'number' is the highest row number given out in blocks, 'ping' the last readiness check.
CREATE TABLE meta (
    name  TEXT COLLATE "C" PRIMARY KEY,
    value BIGINT           NOT NULL
);
INSERT INTO meta (name, value) VALUES ('number', 0), ('ping', 0);

-- Whose turn it is to write (store/db_pg.c): this one row is taken first by every transaction that writes, and counts them.
CREATE TABLE turn (
    one   BOOLEAN PRIMARY KEY DEFAULT true CHECK (one),
    value BIGINT  NOT NULL
) WITH (fillfactor = 10);
INSERT INTO turn (value) VALUES (0);

-- The last turn that each writer has committed: how one finds out whether a commit took place to which it heard no answer.
CREATE TABLE writer (
    id   BIGINT PRIMARY KEY,
    turn BIGINT NOT NULL,
    seen TIMESTAMPTZ NOT NULL DEFAULT now()
) WITH (fillfactor = 10);

CREATE TABLE partner (
    id              BIGINT           PRIMARY KEY CHECK (id BETWEEN 1 AND 1048575),
    client_id       TEXT COLLATE "C" NOT NULL CHECK (length(client_id) BETWEEN 1 AND 64),
    name            TEXT COLLATE "C" NOT NULL,
    mode            SMALLINT         NOT NULL CHECK (mode IN (0, 1)),
    disabled        SMALLINT         NOT NULL CHECK (disabled IN (0, 1)),
    needs           BIGINT           NOT NULL,
    currencies      TEXT COLLATE "C" NOT NULL,
    cap_day         BIGINT           NOT NULL CHECK (cap_day >= 0),
    cap_month       BIGINT           NOT NULL CHECK (cap_month >= 0),
    rate_per_minute BIGINT           NOT NULL CHECK (rate_per_minute >= -1),
    event_days      BIGINT           NOT NULL CHECK (event_days >= 0),
    clock_offset_ms BIGINT           NOT NULL,
    created         BIGINT           NOT NULL,
    thresholds      BYTEA            NOT NULL -- a byte each, in percent, ascending
);
CREATE UNIQUE INDEX partner_client_id ON partner (client_id);
CREATE INDEX partner_sandbox ON partner (id) WHERE mode = 1; -- whose clocks are looked at

CREATE TABLE partner_secret (
    partner_id BIGINT           NOT NULL REFERENCES partner (id),
    number     BIGINT           NOT NULL, -- grows: the newest is the highest
    salt       BYTEA            NOT NULL CHECK (length(salt) = 16),
    sha256     BYTEA            NOT NULL CHECK (length(sha256) = 32),
    expires    BIGINT,
    PRIMARY KEY (partner_id, number)
);

-- The last number given to an event of the partner. Narrow and apart from partner: it is written in every batch.
CREATE TABLE partner_sequence (
    partner_id BIGINT           PRIMARY KEY REFERENCES partner (id),
    last       BIGINT           NOT NULL CHECK (last >= 0)
);

-- New activations by period: a day as 20261123, a month as 202611.
CREATE TABLE cap (
    partner_id BIGINT           NOT NULL REFERENCES partner (id),
    period     BIGINT           NOT NULL,
    count      BIGINT           NOT NULL CHECK (count >= 0),
    PRIMARY KEY (partner_id, period)
);

CREATE TABLE operator_token (
    sha256  BYTEA            PRIMARY KEY CHECK (length(sha256) = 32),
    name    TEXT COLLATE "C" NOT NULL,
    created BIGINT           NOT NULL,
    expires BIGINT
);

CREATE TABLE signing_key (
    kid     TEXT COLLATE "C" PRIMARY KEY,
    number  BIGINT           NOT NULL, -- grows: the newest is the highest
    pem     TEXT COLLATE "C" NOT NULL,
    created BIGINT           NOT NULL,
    retired BIGINT
);

CREATE TABLE product (
    id             BIGINT           PRIMARY KEY,
    partner_id     BIGINT           NOT NULL REFERENCES partner (id),
    public_id      TEXT COLLATE "C" NOT NULL CHECK (length(public_id) BETWEEN 43 AND 44),
    name           TEXT COLLATE "C" NOT NULL,
    sim_types      SMALLINT         NOT NULL CHECK (sim_types BETWEEN 1 AND 3),
    duration       BIGINT           NOT NULL CHECK (duration > 0),
    duration_unit  SMALLINT         NOT NULL CHECK (duration_unit IN (0, 1)),
    data           BIGINT           NOT NULL CHECK (data > 0),
    data_unit      SMALLINT         NOT NULL CHECK (data_unit IN (0, 1)),
    price_minor    BIGINT           NOT NULL CHECK (price_minor >= 0),
    price_currency TEXT COLLATE "C" NOT NULL CHECK (length(price_currency) = 3),
    footprint_code TEXT COLLATE "C",
    first_usage    SMALLINT         NOT NULL CHECK (first_usage IN (0, 1)),
    on_sale        SMALLINT         NOT NULL CHECK (on_sale IN (0, 1))
);
CREATE UNIQUE INDEX product_public_id ON product (partner_id, public_id);
CREATE UNIQUE INDEX product_of_partner ON product (partner_id, id); -- what orders and subscriptions refer to: a product of their own partner

CREATE TABLE sim (
    iccid       BIGINT           CONSTRAINT sim_iccid PRIMARY KEY CHECK (iccid >= 0),
    partner_id  BIGINT           REFERENCES partner (id), -- NULL: the operator's general stock
    type        SMALLINT         NOT NULL CHECK (type IN (1, 2)),
    service     SMALLINT         NOT NULL CHECK (service BETWEEN 0 AND 2),
    esim        SMALLINT         NOT NULL CHECK (esim BETWEEN 0 AND 4 AND (esim = 0) = (type = 2)),
    imsi        TEXT COLLATE "C",
    msisdn      TEXT COLLATE "C",
    eid         TEXT COLLATE "C",
    matching_id TEXT COLLATE "C",
    smdp        TEXT COLLATE "C",
    activated   BIGINT,
    modified    BIGINT           NOT NULL
);
CREATE UNIQUE INDEX sim_imsi ON sim (imsi) WHERE imsi IS NOT NULL;
CREATE UNIQUE INDEX sim_msisdn ON sim (msisdn) WHERE msisdn IS NOT NULL;
CREATE UNIQUE INDEX sim_matching_id ON sim (matching_id) WHERE matching_id IS NOT NULL;
CREATE INDEX sim_of_partner ON sim (partner_id, iccid);                                        -- written on import and assignment only
CREATE INDEX sim_profile_stock ON sim (coalesce(partner_id, 0), iccid) WHERE service = 0 AND type = 1 AND esim = 1; -- what an eSIM order takes from
CREATE INDEX sim_active ON sim (partner_id, iccid) WHERE service = 2;

CREATE TABLE sim_notification (
    iccid BIGINT           NOT NULL REFERENCES sim (iccid),
    type  SMALLINT         NOT NULL CHECK (type BETWEEN 0 AND 2),
    url   TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (iccid, type)
);

-- Clustered by partner and time. There is no index over all orders besides the key: a completed order is found by its SIM through its
-- subscription, an unfinished one through its tasks, and for the few that failed there are indexes of their own. No foreign key to sim
-- (subscription and the rules hold that): checking one would cost a look-up for each order and removing a SIM would read all orders.
CREATE TABLE orders (
    partner_id     BIGINT           NOT NULL,
    id             BYTEA            NOT NULL CHECK (length(id) = 16),
    state          SMALLINT         NOT NULL CHECK (state BETWEEN 0 AND 3),
    operation      SMALLINT         NOT NULL CHECK (operation IN (0, 1)),
    sim_type       SMALLINT         NOT NULL CHECK (sim_type IN (1, 2)),
    country        TEXT COLLATE "C" NOT NULL,
    product_id     BIGINT           NOT NULL,
    iccid          BIGINT,
    created        BIGINT           NOT NULL,
    finished       BIGINT,
    sold_minor     BIGINT,
    sold_currency  TEXT COLLATE "C",
    activation     BIGINT,
    expiration     BIGINT,
    correlation_id TEXT COLLATE "C",
    reference      TEXT COLLATE "C",
    matching_id    TEXT COLLATE "C",
    smdp           TEXT COLLATE "C",
    failure        TEXT COLLATE "C",
    email          TEXT COLLATE "C",
    first_name     TEXT COLLATE "C",
    last_name      TEXT COLLATE "C",
    residence      TEXT COLLATE "C",
    language       TEXT COLLATE "C",
    device_os      TEXT COLLATE "C",
    device_model   TEXT COLLATE "C",
    device_id      TEXT COLLATE "C",
    device_eid     TEXT COLLATE "C",
    PRIMARY KEY (partner_id, id) -- and a reference to product: see below
);
CREATE UNIQUE INDEX orders_reference ON orders (partner_id, reference) WHERE reference IS NOT NULL;
CREATE INDEX orders_failed ON orders (partner_id, id) WHERE state = 3;
CREATE INDEX orders_failed_iccid ON orders (iccid) WHERE state = 3;

-- The calls that unfinished orders still need; those of finished orders are removed by and by, so the table stays small.
-- wake_at is lease_until while the task is claimed, otherwise due_at: the instant from which it may be taken.
CREATE TABLE task (
    id          BIGINT           PRIMARY KEY,
    partner_id  BIGINT           NOT NULL,
    order_id    BYTEA            NOT NULL,
    step        SMALLINT         NOT NULL CHECK (step BETWEEN 0 AND 15),
    kind        SMALLINT         NOT NULL CHECK (kind BETWEEN 0 AND 3),
    lane        SMALLINT         NOT NULL CHECK (lane BETWEEN 0 AND 2),
    state       SMALLINT         NOT NULL CHECK (state BETWEEN 0 AND 6),
    verb        SMALLINT         NOT NULL CHECK (verb BETWEEN 0 AND 2),
    iccid       BIGINT,
    due_at      BIGINT           NOT NULL,
    wake_at     BIGINT           NOT NULL,
    lease_until BIGINT,
    lease_owner BIGINT           NOT NULL,
    attempts    BIGINT           NOT NULL CHECK (attempts >= 0),
    outcome     SMALLINT         NOT NULL CHECK (outcome BETWEEN 0 AND 4),
    peer        TEXT COLLATE "C",
    note        TEXT COLLATE "C",
    started     BIGINT,
    settled     BIGINT,
    history     TEXT COLLATE "C", -- a line for each call to an outside peer (core/task.h)
    FOREIGN KEY (partner_id, order_id) REFERENCES orders (partner_id, id)
);
CREATE UNIQUE INDEX task_of_order ON task (order_id, step);
CREATE INDEX task_due ON task (lane, kind, wake_at, id) WHERE state IN (1, 2);
CREATE INDEX task_open_on_sim ON task (iccid, id) WHERE state <= 3;

-- All of a SIM stand together. The key of a subscription is the id of the order that made it; its id alone finds it through the order. No
-- foreign key to orders: the order is written in the same transaction or was before, and without an index for it removing an order would read
-- all subscriptions of its partner.
-- clock: 0 for the real time, a sandbox partner's number for its own.
CREATE TABLE subscription (
    iccid         BIGINT           NOT NULL,
    id            BYTEA            NOT NULL CHECK (length(id) = 16),
    partner_id    BIGINT           NOT NULL,
    product_id    BIGINT           NOT NULL,
    clock         BIGINT           NOT NULL,
    name          TEXT COLLATE "C" NOT NULL,
    email         TEXT COLLATE "C",
    state         SMALLINT         NOT NULL CHECK (state BETWEEN 0 AND 4),
    ended         SMALLINT         NOT NULL CHECK (ended BETWEEN 0 AND 3),
    created       BIGINT           NOT NULL,
    activation    BIGINT,
    expiry        BIGINT           CHECK (expiry > activation OR (expiry = activation AND ended = 3)), -- 3: expired by call, maybe at once
    next_at       BIGINT           CHECK (next_at IS NULL OR state <= 2),
    duration      BIGINT           NOT NULL,
    duration_unit SMALLINT         NOT NULL CHECK (duration_unit IN (0, 1)),
    first_usage   SMALLINT         NOT NULL CHECK (first_usage IN (0, 1)),
    wanted_expiry BIGINT,
    initial_bytes BIGINT           NOT NULL,
    spent_bytes   BIGINT           NOT NULL CHECK (spent_bytes BETWEEN 0 AND initial_bytes),
    balance_as_of BIGINT,
    sold_minor    BIGINT,
    sold_currency TEXT COLLATE "C",
    PRIMARY KEY (iccid, id) -- and references to sim and product: see below
);
CREATE INDEX subscription_of_partner ON subscription (partner_id, created, id); -- grows at its end
CREATE INDEX subscription_email ON subscription (partner_id, lower(email)) WHERE email IS NOT NULL;
-- (clock, next_at, id): what is due stands in the order in which it is taken, however many are due at one instant.
CREATE INDEX subscription_timer ON subscription (clock, next_at, id) WHERE next_at IS NOT NULL;

-- orders (partner_id, product_id) and subscription (partner_id, product_id) refer to product (partner_id, id), subscription (iccid) to
-- sim. These are foreign keys that are checked for all rows of a statement together: PostgreSQL's own are a query and a lock for each row,
-- a quarter of what an order costs. What refers and what is referred to keeps its key, so that only new rows and removed ones are
-- looked at. Whoever removes takes the turn, as those that add have it: so neither misses the other.
CREATE FUNCTION product_is_there() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM (SELECT DISTINCT partner_id, product_id FROM added) AS a
               WHERE NOT EXISTS (SELECT 1 FROM product p WHERE p.partner_id = a.partner_id AND p.id = a.product_id)) THEN
        RAISE foreign_key_violation USING MESSAGE = format('a row of %I refers to a product that is not there', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION sim_is_there() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    IF EXISTS (SELECT 1 FROM added a WHERE NOT EXISTS (SELECT 1 FROM sim s WHERE s.iccid = a.iccid)) THEN
        RAISE foreign_key_violation USING MESSAGE = format('a row of %I refers to a SIM that is not there', TG_TABLE_NAME);
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION product_is_free() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM turn FOR UPDATE;
    IF EXISTS (SELECT 1 FROM removed r JOIN orders o ON o.partner_id = r.partner_id AND o.product_id = r.id)
        OR EXISTS (SELECT 1 FROM removed r JOIN subscription s ON s.partner_id = r.partner_id AND s.product_id = r.id) THEN
        RAISE foreign_key_violation USING MESSAGE = 'orders or subscriptions refer to the product';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION sim_is_free() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    PERFORM 1 FROM turn FOR UPDATE;
    IF EXISTS (SELECT 1 FROM removed r JOIN subscription s ON s.iccid = r.iccid) THEN
        RAISE foreign_key_violation USING MESSAGE = 'subscriptions refer to the SIM';
    END IF;
    RETURN NULL;
END $$;
CREATE FUNCTION key_stays() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE foreign_key_violation USING MESSAGE = format('by what a row of %I refers or is referred to does not change', TG_TABLE_NAME);
END $$;
CREATE TRIGGER product_is_there AFTER INSERT ON orders REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION product_is_there();
CREATE TRIGGER product_is_there AFTER INSERT ON subscription REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION product_is_there();
CREATE TRIGGER sim_is_there AFTER INSERT ON subscription REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION sim_is_there();
CREATE TRIGGER is_free AFTER DELETE ON product REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION product_is_free();
CREATE TRIGGER is_free AFTER DELETE ON sim REFERENCING OLD TABLE AS removed FOR EACH STATEMENT EXECUTE FUNCTION sim_is_free();
CREATE TRIGGER key_stays BEFORE UPDATE OF partner_id, product_id ON orders FOR EACH ROW
    WHEN (OLD.partner_id <> NEW.partner_id OR OLD.product_id <> NEW.product_id) EXECUTE FUNCTION key_stays();
CREATE TRIGGER key_stays BEFORE UPDATE OF iccid, partner_id, product_id ON subscription FOR EACH ROW
    WHEN (OLD.iccid <> NEW.iccid OR OLD.partner_id <> NEW.partner_id OR OLD.product_id <> NEW.product_id) EXECUTE FUNCTION key_stays();
CREATE TRIGGER key_stays BEFORE UPDATE OF partner_id, id ON product FOR EACH ROW
    WHEN (OLD.partner_id <> NEW.partner_id OR OLD.id <> NEW.id) EXECUTE FUNCTION key_stays();
CREATE TRIGGER key_stays BEFORE UPDATE OF iccid ON sim FOR EACH ROW WHEN (OLD.iccid <> NEW.iccid) EXECUTE FUNCTION key_stays();

-- Every usage record that was taken, so that each counts once, and where its bytes went: to subscriptions, and what is left of it unrated. The
-- partner is the one whose SIM it was; NULL, like the ICCID, when the SIM was not known. `received` is real time, other instants the partner's.
CREATE TABLE usage_record (
    id            BIGINT           PRIMARY KEY, -- grows
    source        TEXT COLLATE "C" NOT NULL,
    record_id     TEXT COLLATE "C" NOT NULL,
    named         SMALLINT         NOT NULL CHECK (named BETWEEN 0 AND 2),
    number        TEXT COLLATE "C" NOT NULL,
    iccid         BIGINT,
    partner_id    BIGINT,
    bytes_up      BIGINT           NOT NULL CHECK (bytes_up >= 0),
    bytes_down    BIGINT           NOT NULL CHECK (bytes_down >= 0),
    started       BIGINT           NOT NULL,
    ended         BIGINT           NOT NULL CHECK (ended >= started),
    received      BIGINT           NOT NULL,
    reason        SMALLINT         NOT NULL CHECK (reason BETWEEN 0 AND 3 AND (reason = 0) = (unrated_bytes = 0)),
    unrated_bytes BIGINT           NOT NULL CHECK (unrated_bytes BETWEEN 0 AND bytes_up + bytes_down)
);
CREATE UNIQUE INDEX usage_record_id ON usage_record (source, record_id);
CREATE INDEX usage_record_of_sim ON usage_record (iccid, id) WHERE iccid IS NOT NULL;
CREATE INDEX usage_record_unrated ON usage_record (id) WHERE unrated_bytes > 0;

CREATE TABLE usage_booking (
    usage_id        BIGINT           NOT NULL REFERENCES usage_record (id),
    step            BIGINT           NOT NULL CHECK (step >= 0),
    subscription_id BYTEA            NOT NULL CHECK (length(subscription_id) = 16),
    bytes           BIGINT           NOT NULL CHECK (bytes > 0),
    PRIMARY KEY (usage_id, step)
);

CREATE TABLE event (
    partner_id BIGINT           NOT NULL,
    sequence   BIGINT           NOT NULL CHECK (sequence > 0),
    type       SMALLINT         NOT NULL CHECK (type > 0),
    created    BIGINT           NOT NULL,
    order_id   BYTEA,
    iccid      BIGINT,
    payload    BYTEA            NOT NULL,
    PRIMARY KEY (partner_id, sequence)
);

-- Endpoints to which a partner's events are delivered (core/webhook.h). epoch: see there; cursor: the next event; lease: which node delivers.
CREATE TABLE webhook (
    partner_id    BIGINT           NOT NULL REFERENCES partner (id),
    id            BYTEA            NOT NULL CHECK (length(id) = 16),
    url           TEXT COLLATE "C" NOT NULL,
    types         TEXT COLLATE "C" NOT NULL,
    state         SMALLINT         NOT NULL CHECK (state BETWEEN 0 AND 3),
    created       BIGINT           NOT NULL,
    modified      BIGINT           NOT NULL,
    epoch         BIGINT           NOT NULL,
    cursor        BIGINT           NOT NULL CHECK (cursor > 0),
    attempts      SMALLINT         NOT NULL CHECK (attempts BETWEEN 0 AND 10),
    due           BIGINT,
    failing_since BIGINT,
    lease_until   BIGINT,
    lease_owner   BIGINT           NOT NULL,
    PRIMARY KEY (partner_id, id)
);

-- What deliveries are signed with: needed in clear, as signing keys are.
CREATE TABLE webhook_secret (
    partner_id BIGINT           NOT NULL,
    webhook_id BYTEA            NOT NULL,
    number     BIGINT           NOT NULL, -- grows: the newest is the highest
    secret     BYTEA            NOT NULL CHECK (length(secret) BETWEEN 24 AND 64),
    expires    BIGINT,
    PRIMARY KEY (partner_id, webhook_id, number),
    FOREIGN KEY (partner_id, webhook_id) REFERENCES webhook (partner_id, id)
);

-- Attempts, and those that were asked for and are still to be made (outcome 0). Old ones are dropped, and all but the newest of an endpoint.
CREATE TABLE webhook_delivery (
    partner_id    BIGINT           NOT NULL,
    webhook_id    BYTEA            NOT NULL,
    id            BYTEA            NOT NULL CHECK (length(id) = 16),
    kind          SMALLINT         NOT NULL CHECK (kind BETWEEN 0 AND 2),
    outcome       SMALLINT         NOT NULL CHECK (outcome BETWEEN 0 AND 4),
    sequence      BIGINT           NOT NULL CHECK (sequence >= 0),
    event_type    BIGINT           NOT NULL,
    event_created BIGINT           NOT NULL,
    attempt       BIGINT           NOT NULL CHECK (attempt >= 0),
    tried         BIGINT,
    duration_ms   BIGINT           NOT NULL,
    status        BIGINT           NOT NULL,
    answer        TEXT COLLATE "C",
    trouble       TEXT COLLATE "C",
    next          BIGINT,
    PRIMARY KEY (partner_id, webhook_id, id),
    FOREIGN KEY (partner_id, webhook_id) REFERENCES webhook (partner_id, id)
);
CREATE INDEX webhook_delivery_pending ON webhook_delivery (partner_id, webhook_id, id) WHERE outcome = 0;

-- Notifications of one SIM that are still to be delivered. Each SIM and type is a queue of its own, of which the first has a wake: when it
-- may be tried, or its lease ends. No foreign keys: a row whose SIM, preference or event has gone is dropped when its turn comes.
CREATE TABLE notification (
    iccid       BIGINT           NOT NULL,
    type        SMALLINT         NOT NULL CHECK (type BETWEEN 0 AND 2),
    sequence    BIGINT           NOT NULL,
    partner_id  BIGINT           NOT NULL,
    attempts    SMALLINT         NOT NULL CHECK (attempts BETWEEN 0 AND 10),
    wake        BIGINT,
    lease_owner BIGINT           NOT NULL,
    PRIMARY KEY (iccid, type, sequence)
);
CREATE INDEX notification_due ON notification (partner_id, wake) WHERE wake IS NOT NULL;

-- The answers of calls that came with an Idempotency-Key. Rows are appended and go from the other end when they are old; the index has the
-- key as it came, because keys that grow with time (UUIDv7, ULID, counters) then append, too.
-- state 0: in work (by `owner`, last heard of at `since`; body is a note of how far it has come), 1: answered (at `since`).
CREATE TABLE idempotency (
    id         BIGINT           GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    partner_id BIGINT           NOT NULL,
    key        TEXT COLLATE "C" NOT NULL CHECK (length(key) BETWEEN 1 AND 255),
    digest     BYTEA            NOT NULL CHECK (length(digest) = 32),
    state      SMALLINT         NOT NULL CHECK (state IN (0, 1)),
    owner      BIGINT           NOT NULL,
    since      BIGINT           NOT NULL,
    status     BIGINT           NOT NULL CHECK (status = 0 OR (state = 1 AND status BETWEEN 200 AND 499)),
    headers    TEXT COLLATE "C" NOT NULL,
    body       BYTEA            NOT NULL
);
CREATE UNIQUE INDEX idempotency_key ON idempotency (partner_id, key);

-- SIMs on their way in: staged line by line, judged, then applied or dropped, each in slices (store_import.c). Nothing is unique here: that
-- is what is judged, by the indexes. verdict: 1 fresh (until it is judged: not faulty by itself), 2 the same as what is there, beyond: why it
-- is refused (store_import.c); other: the line or SIM it collides with. What has been applied is no longer here.
CREATE TABLE import (
    id        BIGINT           PRIMARY KEY,
    source    TEXT COLLATE "C" NOT NULL,
    begun     BIGINT           NOT NULL,
    state     SMALLINT         NOT NULL CHECK (state BETWEEN 0 AND 5), -- staging, judging, judged, applying, applied, dropped
    judged_to BIGINT           NOT NULL, -- the last line that was judged
    staged    BIGINT           NOT NULL, -- numbers of rows: all; of those judged, by verdict; put into stock
    fresh     BIGINT           NOT NULL,
    same      BIGINT           NOT NULL,
    bad       BIGINT           NOT NULL,
    inserted  BIGINT           NOT NULL
);
CREATE TABLE import_row (
    import_id   BIGINT           NOT NULL REFERENCES import (id),
    line        BIGINT           NOT NULL,
    verdict     SMALLINT         NOT NULL,
    other       BIGINT,
    fault       TEXT COLLATE "C",
    iccid       BIGINT,
    partner_id  BIGINT,
    type        SMALLINT,
    service     SMALLINT,
    esim        SMALLINT,
    imsi        TEXT COLLATE "C",
    msisdn      TEXT COLLATE "C",
    eid         TEXT COLLATE "C",
    matching_id TEXT COLLATE "C",
    smdp        TEXT COLLATE "C",
    activated   BIGINT,
    modified    BIGINT,
    PRIMARY KEY (import_id, line)
);
CREATE INDEX import_row_iccid ON import_row (import_id, iccid) WHERE iccid IS NOT NULL;
CREATE INDEX import_row_imsi ON import_row (import_id, imsi) WHERE imsi IS NOT NULL;
CREATE INDEX import_row_msisdn ON import_row (import_id, msisdn) WHERE msisdn IS NOT NULL;
CREATE INDEX import_row_matching_id ON import_row (import_id, matching_id) WHERE matching_id IS NOT NULL;

-- The nodes that share a store: who has which number, and until when (store_node.h).
CREATE TABLE node (
    number      BIGINT           PRIMARY KEY CHECK (number BETWEEN 1 AND 1023),
    instance    BIGINT           NOT NULL CHECK (instance > 0),
    name        TEXT COLLATE "C" NOT NULL,
    role        SMALLINT         NOT NULL CHECK (role BETWEEN 0 AND 2),
    started     BIGINT           NOT NULL,
    lease_until BIGINT           NOT NULL
);

-- What each node has taken of a partner's calls in a minute, of those that are counted together.
CREATE TABLE rate (
    partner_id BIGINT           NOT NULL,
    bucket     TEXT COLLATE "C" NOT NULL,
    node       BIGINT           NOT NULL,
    period     BIGINT           NOT NULL,
    taken      BIGINT           NOT NULL,
    PRIMARY KEY (partner_id, bucket, node)
);
