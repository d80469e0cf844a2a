-- The queryable projection of a run's journal. Rows are only ever appended. Columns without a comment get theirs from meanings.py.
-- Long texts name their compression: DuckDB's own choice takes 2.5 times the CPU for what is 3.5 times as large.

CREATE TABLE projection (version INTEGER, next_offset BIGINT, pending_offset BIGINT, journal_tail VARCHAR);
COMMENT ON TABLE projection IS 'How far the journal has been read; one row';
COMMENT ON COLUMN projection.next_offset IS 'Byte of the journal where unread events begin';
COMMENT ON COLUMN projection.journal_tail IS 'Length and checksum of what stands before next_offset, to recognise that journal';
COMMENT ON COLUMN projection.pending_offset IS 'Byte of the oldest event that a candidate without a result still needs';

CREATE TABLE runs (run VARCHAR, started TIMESTAMP, problem VARCHAR, description VARCHAR, seed BIGINT, config JSON, versions JSON,
    cases INTEGER);
COMMENT ON TABLE runs IS 'One row: what this run is';
COMMENT ON COLUMN runs.config IS 'The effective configuration';
COMMENT ON COLUMN runs.cases IS 'How many cases can be scored separately; NULL where there are none';

CREATE TABLE objective_names (position INTEGER, name VARCHAR, direction VARCHAR, unit VARCHAR);
COMMENT ON TABLE objective_names IS 'What is minimised or maximised; position 0 is shown first';

CREATE TABLE proposals (
    ask BIGINT, individual BIGINT, island INTEGER, operator VARCHAR, model VARCHAR, outcome VARCHAR, thought VARCHAR,
    proposed TIMESTAMP
);
COMMENT ON TABLE proposals IS 'Every answer of an operator, those without a candidate included';
COMMENT ON COLUMN proposals.individual IS 'The candidate that it became; NULL where it became none';
COMMENT ON COLUMN proposals.outcome IS 'ok, unparsable, truncated, refused, duplicate, empty, failed, timeout, unreachable, cancelled or error';

CREATE TABLE individuals (
    id BIGINT, tell BIGINT, island INTEGER, kind VARCHAR, genome VARCHAR USING COMPRESSION zstd, digest VARCHAR, size BIGINT,
    operator VARCHAR, model VARCHAR, survived BOOLEAN, thought VARCHAR, outcome VARCHAR,
    told_at TIMESTAMP, generation INTEGER
);
COMMENT ON TABLE individuals IS 'Every evaluated genome';

CREATE TABLE parents (child BIGINT, parent BIGINT, role VARCHAR);
COMMENT ON TABLE parents IS 'Edges of the lineage; role is base, mate or inspiration';

CREATE TABLE evaluations (
    individual BIGINT, attempt INTEGER, stage VARCHAR, outcome VARCHAR, seconds DOUBLE, cpu_seconds DOUBLE, memory_bytes BIGINT,
    started TIMESTAMP, worker VARCHAR, node VARCHAR, isolation VARCHAR, violation DOUBLE,
    feedback VARCHAR USING COMPRESSION zstd, cases INTEGER
);
COMMENT ON TABLE evaluations IS 'Every evaluation; stage is train, or the final part that was evaluated at the end';
COMMENT ON COLUMN evaluations.attempt IS '0 for the first; re-evaluations of the same individual follow';
COMMENT ON COLUMN evaluations.outcome IS 'ok, invalid, timeout, oom, crash, lost; pruned where others were more promising after some of the cases';
COMMENT ON COLUMN evaluations.cases IS 'How many cases it was scored on, of problems with scores by case';
COMMENT ON COLUMN evaluations.isolation IS 'How the candidate was isolated: bubblewrap, process, or none where no candidate code ran';

CREATE TABLE objectives (individual BIGINT, name VARCHAR, value DOUBLE);
COMMENT ON TABLE objectives IS 'Train objectives of the first evaluation, in the direction of the problem; see scores';

CREATE TABLE measurements (
    tell BIGINT, individual BIGINT, number INTEGER, name VARCHAR, value DOUBLE, mean DOUBLE, compared DOUBLE, seconds DOUBLE
);
COMMENT ON TABLE measurements IS 'Where individuals are re-evaluated: each measurement, and the mean up to it';
COMMENT ON COLUMN measurements.number IS '1 for the first';
COMMENT ON COLUMN measurements.compared IS 'What it was compared by at that tell: a bound of the mean on its bad side, or the mean';

CREATE TABLE leaders (tell BIGINT, name VARCHAR, individual BIGINT, measurements INTEGER, mean DOUBLE, compared DOUBLE);
COMMENT ON TABLE leaders IS 'Where individuals are re-evaluated: each change of the best by an objective, or of its mean';

CREATE VIEW scores AS
    SELECT o.individual, o.name, coalesce(m.mean, o.value) AS mean, coalesce(m.number, 1) AS measurements,
        coalesce(m.compared, o.value) AS compared
    FROM objectives o LEFT JOIN (
        SELECT * FROM measurements QUALIFY row_number() OVER (PARTITION BY individual, name ORDER BY number DESC) = 1
    ) m ON m.individual = o.individual AND m.name = o.name
    WHERE o.individual NOT IN (
        SELECT individual FROM evaluations WHERE stage = 'train' AND attempt > 0 AND outcome NOT IN ('ok', 'lost')
    );
COMMENT ON VIEW scores IS 'Mean train objectives over all measurements of an individual; those that failed a re-evaluation are left out';

CREATE TABLE finals (individual BIGINT, part VARCHAR, name VARCHAR, value DOUBLE);
COMMENT ON TABLE finals IS 'Objectives on parts that no candidate was selected by (validation, holdout), of the individuals evaluated there';

CREATE VIEW holdout AS SELECT individual, name, value FROM finals WHERE part = 'holdout';
COMMENT ON VIEW holdout IS 'Objectives on the hold-out part';

CREATE TABLE lessons (ask BIGINT, individual BIGINT, kind VARCHAR, lesson VARCHAR);
COMMENT ON TABLE lessons IS 'Lessons that a model learnt from the search; kind is short or long';

CREATE TABLE completions (
    ask BIGINT, stage VARCHAR, purpose VARCHAR, model VARCHAR, endpoint VARCHAR, outcome VARCHAR, input_tokens BIGINT, cached_tokens BIGINT,
    output_tokens BIGINT, cost_usd DOUBLE, seconds DOUBLE, requests INTEGER,
    prompt JSON USING COMPRESSION zstd, reply VARCHAR USING COMPRESSION zstd, reasoning VARCHAR USING COMPRESSION zstd,
    error VARCHAR, completed TIMESTAMP
);
COMMENT ON TABLE completions IS 'Every completion of a language model, failed ones included';
COMMENT ON COLUMN completions.ask IS 'The ask it was for; proposals.ask leads on to the individual';
COMMENT ON COLUMN completions.stage IS 'proposal (for an operator), evaluation (for a problem), or final (for a problem, after the search)';
COMMENT ON COLUMN completions.prompt IS 'What the model was sent: [role, text] pairs';

CREATE TABLE arrivals (tell BIGINT, individual BIGINT, island INTEGER, source INTEGER, reason VARCHAR);
COMMENT ON TABLE arrivals IS 'Which individual entered which island at which tell: born there, or from the source by founding, migration or reset';

CREATE TABLE removals (tell BIGINT, individual BIGINT, island INTEGER);
COMMENT ON TABLE removals IS 'Which individual left which island at which tell';

CREATE TABLE front_moves (tell BIGINT, individual BIGINT, entered BOOLEAN);
COMMENT ON TABLE front_moves IS 'Which individual entered or left the front of all results so far, and at which tell; with re-evaluation, some come back';

CREATE TABLE indicators (
    tell BIGINT, front_size INTEGER, population INTEGER, name VARCHAR, best DOUBLE, hypervolume DOUBLE, diversity DOUBLE,
    coverage DOUBLE, qd_score DOUBLE
);
COMMENT ON TABLE indicators IS 'After each tell: sizes, and the best value of the first objective so far (name says which)';
COMMENT ON COLUMN indicators.hypervolume IS 'Of all feasible individuals so far, against the reference point; NULL before it is fixed';
COMMENT ON COLUMN indicators.diversity IS 'Mean distance to the nearest neighbour in the front, each objective divided by its range there';
COMMENT ON COLUMN indicators.coverage IS 'Share of the niches that hold a feasible individual, on the island of the result; NULL without niches';
COMMENT ON COLUMN indicators.qd_score IS 'QD score: by how much the best of each of those niches passes the offset, added up; NULL without an offset';

CREATE TABLE reference_points (tell BIGINT, name VARCHAR, value DOUBLE);
COMMENT ON TABLE reference_points IS 'The hypervolume''s reference point, and from which tell on it holds';

CREATE TABLE cases (individual BIGINT, name VARCHAR, score DOUBLE);
COMMENT ON TABLE cases IS 'Scores by case, larger is better, of problems that have them';

CREATE TABLE descriptors (individual BIGINT, name VARCHAR, value DOUBLE);
COMMENT ON TABLE descriptors IS 'Descriptors of an individual, which decide its niche';

CREATE TABLE events (happened TIMESTAMP, kind VARCHAR, detail JSON);
COMMENT ON TABLE events IS 'Start, resumption, stop, cluster events and the like';

CREATE VIEW island_members AS
    SELECT individual, island FROM (
        SELECT individual, island, 1 AS came FROM arrivals UNION ALL SELECT individual, island, -1 FROM removals
    ) GROUP BY individual, island HAVING sum(came) > 0 ORDER BY island, individual;
COMMENT ON VIEW island_members IS 'Which individuals are on which island now';

CREATE VIEW population AS SELECT i.* FROM individuals i WHERE i.id IN (SELECT individual FROM island_members);
COMMENT ON VIEW population IS 'The individuals on any island now';

CREATE VIEW front AS
    SELECT i.* FROM individuals i
    WHERE i.id IN (SELECT individual FROM front_moves GROUP BY individual HAVING sum(if(entered, 1, -1)) > 0);
COMMENT ON VIEW front IS 'Individuals that no result so far dominates; with re-evaluation, among the population and earlier members of the front';

CREATE VIEW best_so_far AS SELECT tell, name, best FROM indicators WHERE best IS NOT NULL;
COMMENT ON VIEW best_so_far IS 'The first objective''s best value after each tell';

-- Counted apart and then added up: joining proposals with individuals would take twice as long.
CREATE VIEW operator_yield AS
    SELECT operator, model, sum(proposals)::BIGINT AS proposals, sum(admitted)::BIGINT AS admitted, sum(valid)::BIGINT AS valid,
        sum(survived)::BIGINT AS survived, sum(entered_front)::BIGINT AS entered_front
    FROM (
        SELECT operator, model, count(*) AS proposals, count(*) FILTER (outcome = 'ok') AS admitted, 0 AS valid, 0 AS survived,
            0 AS entered_front
        FROM proposals GROUP BY ALL
        UNION ALL
        SELECT operator, model, 0, 0, count(*) FILTER (outcome = 'ok'), count(*) FILTER (survived), 0 FROM individuals GROUP BY ALL
        UNION ALL
        SELECT operator, model, 0, 0, 0, 0, count(*) FROM individuals
        WHERE id IN (SELECT individual FROM front_moves WHERE entered) GROUP BY ALL
    )
    GROUP BY operator, model ORDER BY survived DESC;
COMMENT ON VIEW operator_yield IS 'How each operator''s proposals did';

CREATE VIEW cost_per_improvement AS
    WITH paid AS (SELECT ask, model, sum(cost_usd) AS usd FROM completions WHERE stage = 'proposal' GROUP BY ask, model)
    SELECT p.operator, c.model, sum(c.usd) AS usd, count(*) AS proposals, count(f.individual) AS improvements,
        sum(c.usd) / nullif(count(f.individual), 0) AS usd_each
    FROM paid c JOIN proposals p USING (ask)
    LEFT JOIN (SELECT DISTINCT individual FROM front_moves WHERE entered) f ON f.individual = p.individual
    GROUP BY p.operator, c.model ORDER BY usd_each;
COMMENT ON VIEW cost_per_improvement IS 'Dollars per individual that entered the front, by operator and model';

CREATE VIEW spending AS
    SELECT stage, purpose, model, endpoint, count(*) AS completions, sum(requests) AS requests,
        sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens, sum(cost_usd) AS usd
    FROM completions GROUP BY ALL ORDER BY usd DESC;
COMMENT ON VIEW spending IS 'Completions by purpose and model, and what they cost';

CREATE VIEW pulls AS
    SELECT e.outcome, count(*) AS individuals, sum(e.cases) AS seen, sum(r.cases - e.cases) AS saved
    FROM evaluations e CROSS JOIN runs r
    WHERE e.stage = 'train' AND e.outcome IN ('ok', 'pruned') AND r.cases IS NOT NULL
    GROUP BY e.outcome ORDER BY e.outcome;
COMMENT ON VIEW pulls IS 'How many (individual, case) pairs were scored, and how many the evaluation policy saved';

CREATE VIEW worker_timeline AS
    SELECT worker, node, individual, stage, outcome, started, started + to_microseconds((seconds * 1e6)::BIGINT) AS ended
    FROM evaluations ORDER BY started;
COMMENT ON VIEW worker_timeline IS 'What each worker evaluated, and when';

CREATE VIEW best AS
    WITH latest AS (SELECT * FROM leaders QUALIFY row_number() OVER (PARTITION BY name ORDER BY tell DESC) = 1),
    first AS (
        SELECT o.name, min_by(o.individual, (if(n.direction = 'min', o.value, -o.value), o.individual)) AS individual
        FROM objectives o JOIN objective_names n ON n.name = o.name
        WHERE o.individual IN (SELECT individual FROM evaluations WHERE stage = 'train' AND attempt = 0 AND violation = 0)
        GROUP BY o.name
    )
    SELECT n.name, i.id, coalesce(l.mean, o.value) AS value, i.operator, i.model, i.tell,
        coalesce(l.measurements, 1) AS measurements, coalesce(l.compared, o.value) AS compared
    FROM objective_names n LEFT JOIN latest l ON l.name = n.name LEFT JOIN first f ON f.name = n.name
    JOIN individuals i ON i.id = coalesce(l.individual, f.individual)
    JOIN objectives o ON o.individual = i.id AND o.name = n.name
    ORDER BY n.position;
COMMENT ON VIEW best IS 'The best feasible individual by each objective, the first objective first; value is the mean of its measurements';
