-- SPDX-License-Identifier: Apache-2.0
--
-- What may never be found in the database, whatever was done to the server. Said of the tables alone, and read by the simulation and by the
-- torture of the running server. First the views that are spoken of; then each thing: its name after "-- never:", and a query that must answer
-- no row.

CREATE TEMP VIEW story AS SELECT order_id, sum(type = 1) AS accepted, sum(type = 2) AS fulfilling, sum(type = 3) AS completed, sum(type =
    4) AS failed, max(CASE WHEN type = 1 THEN sequence END) AS began, max(CASE WHEN type = 2 THEN sequence END) AS going, max(CASE WHEN
    type IN (3, 4) THEN sequence END) AS ended
  FROM event WHERE type BETWEEN 1 AND 4 GROUP BY order_id;
CREATE TEMP VIEW activations AS SELECT partner_id, period, count(*) AS n
  FROM (SELECT partner_id, CAST(strftime('%Y%m%d', created / 1000, 'unixepoch') AS INTEGER) AS period FROM orders
  WHERE operation = 0 AND state <> 3 UNION ALL SELECT partner_id, CAST(strftime('%Y%m', created / 1000, 'unixepoch') AS INTEGER)
  FROM orders WHERE operation = 0 AND state <> 3) GROUP BY partner_id, period;

-- never: a gap in a partner's events
SELECT partner_id FROM event GROUP BY partner_id HAVING min(sequence) <> 1 OR max(sequence) <> count(*);

-- never: a sequence that is not the last event's
SELECT e.partner_id FROM (SELECT partner_id, max(sequence) AS last FROM event GROUP BY partner_id) e
  LEFT JOIN partner_sequence s ON s.partner_id = e.partner_id WHERE s.last IS NOT e.last;

-- never: an order whose events do not tell its life
SELECT hex(o.id) FROM orders o LEFT JOIN story s ON s.order_id = o.id WHERE s.accepted IS NOT 1
  OR s.fulfilling <> (o.state = 1) AND o.state < 2 OR s.fulfilling > 1 OR s.completed <> (o.state = 2)
  OR s.failed <> (o.state = 3) OR (o.finished IS NOT NULL) <> (o.state >= 2) OR s.ended < s.began OR s.going < s.began
  OR s.going > s.ended;

-- never: an event of an order that is not there
SELECT partner_id || ' ' || sequence FROM event
  WHERE order_id IS NOT NULL AND order_id <> zeroblob(16) AND order_id NOT IN (SELECT id FROM orders);

-- never: a completed order without its one subscription, or a subscription of another
SELECT hex(o.id) FROM orders o LEFT JOIN (SELECT id, count(*) AS n FROM subscription GROUP BY id) s ON s.id = o.id
  WHERE coalesce(s.n, 0) <> (o.state = 2);

-- never: a subscription without an order
SELECT hex(id) FROM subscription WHERE id NOT IN (SELECT id FROM orders);

-- never: a subscription on another SIM than its order's
SELECT hex(s.id) FROM subscription s JOIN orders o ON o.id = s.id WHERE s.iccid IS NOT o.iccid OR s.partner_id <> o.partner_id
  OR s.product_id <> o.product_id;

-- never: bytes of a record that went nowhere, or twice
SELECT record_id FROM usage_record u WHERE bytes_up + bytes_down <> unrated_bytes + coalesce((SELECT sum(bytes)
  FROM usage_booking b WHERE b.usage_id = u.id), 0);

-- never: a balance without its records
SELECT hex(s.id) FROM subscription s LEFT JOIN (SELECT subscription_id, sum(bytes) AS n FROM usage_booking
  GROUP BY subscription_id) b ON b.subscription_id = s.id WHERE s.spent_bytes <> coalesce(b.n, 0);

-- never: a booking on a subscription that is not there
SELECT hex(subscription_id) FROM usage_booking WHERE subscription_id NOT IN (SELECT id FROM subscription);

-- never: a profile of two orders
SELECT iccid FROM orders WHERE operation = 0 AND state <> 3 AND iccid IS NOT NULL GROUP BY iccid HAVING count(*) > 1;

-- never: a SIM that is active without having been activated, or the other way round
SELECT s.iccid FROM sim s JOIN (SELECT iccid, max(state = 2) AS done, max(state < 2) AS open FROM orders
  WHERE operation = 0 AND iccid IS NOT NULL GROUP BY iccid) o ON o.iccid = s.iccid
  WHERE s.service <> CASE WHEN done THEN 2 WHEN open THEN 1 ELSE 0 END;

-- never: a SIM on its way that nobody ordered
SELECT iccid FROM sim WHERE service = 1 AND iccid NOT IN (SELECT iccid FROM orders WHERE state < 2 AND iccid IS NOT NULL);

-- never: more than 15 on a SIM
SELECT iccid FROM (SELECT iccid FROM subscription WHERE state <= 2 UNION ALL SELECT iccid FROM orders
  WHERE state < 2 AND iccid IS NOT NULL) GROUP BY iccid HAVING count(*) > 15;

-- never: orders of one SIM that did not end in the order in which they were accepted
SELECT iccid
  FROM (SELECT o.iccid, s.ended, lag(coalesce(s.ended, 1 << 60)) OVER (PARTITION BY o.partner_id, o.iccid ORDER BY s.began) AS before
  FROM orders o JOIN story s ON s.order_id = o.id WHERE o.iccid IS NOT NULL AND NOT (o.operation = 0 AND o.sim_type = 1))
  WHERE ended IS NOT NULL AND before > ended;

-- never: a cap that does not count what was activated
SELECT c.partner_id || ' ' || c.period FROM cap c LEFT JOIN activations a ON a.partner_id = c.partner_id AND a.period = c.period
  WHERE c.count <> coalesce(a.n, 0) UNION ALL SELECT a.partner_id || ' ' || a.period FROM activations a
  LEFT JOIN cap c ON c.partner_id = a.partner_id AND c.period = a.period WHERE c.count IS NULL;

-- never: a key twice
SELECT key FROM idempotency GROUP BY partner_id, key HAVING count(*) > 1;

-- never: an open order that nothing drives on
SELECT hex(id) FROM orders WHERE state < 2 AND id NOT IN (SELECT order_id FROM task WHERE state IN (0, 1, 2, 3));

-- never: a finished order with open tasks
SELECT hex(order_id) FROM task WHERE state IN (0, 1, 2, 3) AND order_id NOT IN (SELECT id FROM orders WHERE state < 2);

-- never: a SIM whose first open task waits for nobody
SELECT hex(t.order_id) FROM task t WHERE t.state = 0 AND t.id = (SELECT min(id) FROM task f
  WHERE f.order_id = t.order_id AND f.state <= 3) AND NOT EXISTS (SELECT 1 FROM task b
  WHERE b.iccid = t.iccid AND b.id < t.id AND b.state <= 3);
