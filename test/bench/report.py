#!/usr/bin/env python3
"""report.py RESULTS PART: the summary of a benchmark's raw results.

RESULTS is the folder with the CSV files; PART is sample, pgbench, worker,
logins, readers or memory.  Prints tables.  Needs nothing but Python.
"""
import csv
import glob
import os
import random
import statistics
import sys

RESAMPLES = 2000


def rows(folder, name):
    """The rows of RESULTS/NAME as dictionaries."""
    with open(os.path.join(folder, name), newline='', encoding='utf-8') as file:
        return list(csv.DictReader(file))


def by(table, *keys):
    """The rows grouped by some columns, in the order in which they first come."""
    groups = {}
    for row in table:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def median(values):
    return statistics.median(values)


def quantile(values, fraction):
    values = sorted(values)
    return values[min(int(fraction * len(values)), len(values) - 1)]


def bootstrap(values):
    """A 95% confidence interval of the median, by the percentile bootstrap."""
    chance = random.Random(1)
    medians = sorted(median(chance.choices(values, k=len(values))) for _ in range(RESAMPLES))
    return medians[int(RESAMPLES * 0.025)], medians[int(RESAMPLES * 0.975)]


def show(title, head, body):
    """Print a table in Markdown."""
    print(f'\n{title}\n')
    print('| ' + ' | '.join(head) + ' |')
    print('|' + ' --- |' * len(head))
    for row in body:
        print('| ' + ' | '.join(str(cell) for cell in row) + ' |')


def number(value, digits=3):
    """So many significant digits, with commas, and no exponent."""
    if value == 0:
        return '0'
    decimals = max(0, digits - 1 - int(f'{abs(value):e}'.split('e')[1]))
    return f'{value:,.{decimals}f}'


def sample_figures(folder):
    """Median ns by (array, slots, sessions, what, caches), less the clock's."""
    found = {key: median([float(row['ns']) for row in group]) for key, group in
             by(rows(folder, 'sample.csv'), 'array', 'slots', 'sessions', 'what', 'caches').items()}
    figures = {}
    for (array, slots, sessions, what, caches), value in found.items():
        # no time at all is not what a sample of nothing takes
        clock = found.get((array, slots, sessions, 'empty', caches), 0) if what in ('sample', 'limit', 'core') else 0
        figures[array, int(slots), int(sessions), what, caches] = max(value - clock, 1)
    return figures


def report_sample(folder):
    figures = sample_figures(folder)
    for caches in ('cold', 'warm'):
        body = []
        for array, slots, sessions, what, _ in sorted(k for k in figures if k[3] == 'sample' and k[4] == caches):
            def figure(name, temperature=caches, place=(array, slots, sessions)):
                return figures.get((*place, name, temperature))
            sample, limit, core = figure('sample'), figure('limit'), figure('core')
            body.append((array, f'{slots:,}', f'{sessions:,}', number(sample), number(sample / sessions),
                         number(limit / sessions), number(sample / limit),
                         number(core / sample) if core else '',
                         *(number(figure(query, 'warm') / sample) if figure(query, 'warm') else ''
                           for query in ('pg_stat_activity', 'postgres_exporter'))))
        show(f'One sample with {caches} caches',
             ('array', 'slots', 'sessions', 'ns', 'ns a session', 'plain read, ns a session', 'times the plain read',
              "core's snapshot, times a sample", 'pg_stat_activity grouped, times a sample',
              "postgres_exporter's query, times a sample"), body)
    body = []
    for array, slots, sessions, what, _ in sorted(k for k in figures if k[3] in ('pg_stat_activity', 'postgres_exporter',
                                                                                  'pool_monitor_applications')):
        body.append((f'{sessions:,}', what, number(figures[array, slots, sessions, what, 'warm'] / 1e6)))
    show('In SQL', ('sessions', 'query', 'ms'), body)


def pgbench_ratios(group, column, server, reference='without'):
    """Each round's ratio of a server to the one without the library."""
    rounds = by(group, 'round')
    ratios = []
    for members in rounds.values():
        figures = {row['server']: float(row[column]) for row in members}
        if server in figures and reference in figures:
            ratios.append(figures[server] / figures[reference])
    return ratios


def verdict(ratio, floor):
    """Does the interval overlap what the same server shows against itself?"""
    low, high = min(floor[0], 1), max(floor[1], 1)
    return 'inside' if ratio[1] >= low and ratio[0] <= high else 'outside'


def report_paired(folder, name, key, unit):
    """What the server pays: each server's figures beside the one without."""
    for path in sorted(glob.glob(os.path.join(folder, f'{name}-*.csv'))):
        version = os.path.basename(path)[len(name) + 1:-4]
        for (kind,), group in by(rows(folder, os.path.basename(path)), key).items():
            body = []
            floors = {column: bootstrap(pgbench_ratios(group, column, 'again')) for column in (unit, 'cpu_us')}
            for (server,), members in by(group, 'server').items():
                line = [server, number(median([float(row[unit]) for row in members]), 4),
                        number(median([float(row['cpu_us']) for row in members]), 4)]
                for column in (unit, 'cpu_us'):
                    if server == 'without':
                        line += ['', '']
                        continue
                    ratios = pgbench_ratios(group, column, server)
                    low, high = bootstrap(ratios)
                    line += [f'{100 * (median(ratios) - 1):+.2f}% ({100 * (low - 1):+.2f} to {100 * (high - 1):+.2f})',
                             'the floor' if server == 'again' else verdict((low, high), floors[column])]
                body.append(line)
            count = len(by(group, 'round'))
            show(f'{kind}, PostgreSQL {version}, {count} rounds',
                 ('server', 'a second', 'us of CPU each', 'rate to without, 95% confidence', 'A/A',
                  'CPU to without, 95% confidence', 'A/A'), body)


def report_worker(folder):
    body = []
    for (who, interval, sessions), group in by(rows(folder, 'worker.csv'), 'who', 'interval_ms', 'sessions').items():
        seconds = sum(float(row['seconds']) for row in group)
        cpu = sum(float(row['cpu_ns']) for row in group)
        samples = sum(int(row['samples'] or 0) for row in group)
        body.append((who, interval, f'{int(sessions):,}', f'{100 * cpu / seconds / 1e9:.4f}%',
                     number(cpu / samples / 1e3) if samples else '',
                     f"{sum(int(row['wakeups']) for row in group) / seconds:.2f}",
                     number(sum(int(row['bytes'] or 0) for row in group) / samples) if samples else ''))
    show('The worker', ('who', 'interval, ms', 'sessions', 'of a core', 'us a sample', 'wake-ups a second',
                        'bytes a sample'), body)


def report_readers(folder):
    titles = {'few': 'as many groups as pg_stat_activity tells apart', 'many': '2,000 groups'}
    for (kind,), table in by(rows(folder, 'readers.csv'), 'groups').items():
        figures = {(int(sessions), what): median([float(row['us']) for row in group])
                   for (sessions, what), group in by(table, 'sessions', 'what').items()}
        equivalent = {row['what']: row['equivalent'] for row in table}
        levels = sorted({sessions for sessions, _ in figures})
        body = []
        for what, other in equivalent.items():
            if not other:
                continue
            line = [what]
            for sessions in levels:
                line += [number(figures[sessions, what] / 1e3),
                         number(figures[sessions, other] / figures[sessions, what])]
            line.append(number(figures[levels[-1], what] / figures[levels[0], what]))
            body.append(line)
        head = ['view']
        for sessions in levels:
            head += [f'ms at {sessions:,}', 'times faster']
        show(f'Readers, {titles[kind]}, beside the same from pg_stat_activity',
             (*head, f'{levels[-1]:,} to {levels[0]:,}'), body)
        body = [(what, *(number(figures[sessions, what] / 1e3) for sessions in levels))
                for what, other in equivalent.items() if not other]
        show(f'Others, {titles[kind]}', ('query', *(f'ms at {sessions:,}' for sessions in levels)), body)

    body = []
    for (readers,), group in by(rows(folder, 'readers_load.csv'), 'readers').items():
        body.append((readers, number(median([float(row['tps']) for row in group]), 4),
                     number(median([float(row['sample_us_median']) for row in group])),
                     number(max(float(row['sample_us_p90']) for row in group)),
                     sum(int(row['missed']) for row in group),
                     number(median([float(row['reads']) for row in group]))))
    show('Many readers at once', ('readers', 'tps of pgbench -S', 'sample, us, median', 'highest 90%', 'missed samples',
                                  'reads a second'), body)


def report_memory(folder):
    show('Memory', ('what', 'bytes'), [(row['what'], f"{int(row['bytes']):,}") for row in rows(folder, 'shared_memory.csv')])


def main():
    folder, part = sys.argv[1:]
    if part == 'sample':
        report_sample(folder)
    elif part == 'pgbench':
        report_paired(folder, 'pgbench', 'workload', 'tps')
    elif part == 'logins':
        report_paired(folder, 'logins', 'kind', 'per_second')
    elif part == 'worker':
        report_worker(folder)
    elif part == 'readers':
        report_readers(folder)
    elif part == 'memory':
        report_memory(folder)
    else:
        sys.exit(__doc__)


if __name__ == '__main__':
    main()
