#!/usr/bin/env python3
"""chart.py RESULTS OUTPUT.svg: the benchmarks' results as a picture.

RESULTS is the folder with the CSV files of run.sh; what is missing there is
left out.  Needs nothing but Python.
"""
import math
import os
import sys
from xml.sax.saxutils import escape

import report

WIDTH, HEIGHT = 960, 400
LEFT, RIGHT, TOP, BOTTOM = 250, 30, 60, 50
COLORS = ('#1b6ca8', '#7a7a7a', '#c77f1a', '#b03a2e', '#6c3483', '#2e7d32')


class Panel:
    """One diagram; pieces of SVG in coordinates of its own."""

    def __init__(self, title, subtitle, height=HEIGHT):
        self.height = height
        self.pieces = []
        self.text(20, 26, title, size=17, weight='bold')
        self.text(20, 46, subtitle, color='#555')

    def text(self, x, y, content, size=12, anchor='start', color='#222', weight='normal'):
        self.pieces.append(f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" '
                           f'fill="{color}" font-weight="{weight}">{escape(content)}</text>')

    def line(self, x1, y1, x2, y2, color='#ccc', width=1):
        self.pieces.append(f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" '
                           f'stroke="{color}" stroke-width="{width}"/>')

    def dot(self, x, y, color, size=4):
        self.pieces.append(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{size}" fill="{color}"/>')

    def bar(self, x, y, width, height, color):
        self.pieces.append(f'<rect x="{x:.1f}" y="{y:.1f}" width="{max(width, 1):.1f}" height="{height:.1f}" fill="{color}"/>')


def scale(low, high, start, end, logarithmic):
    """A function from values to coordinates."""
    change = math.log if logarithmic else float
    return lambda value: start + (change(value) - change(low)) / (change(high) - change(low)) * (end - start)


def time_label(ns):
    for unit, size in (('s', 1e9), ('ms', 1e6), ('µs', 1e3)):
        if ns >= size:
            return f'{ns / size:g} {unit}'
    return f'{ns:g} ns'


def sample_panel(folder):
    """Time of one reading of all sessions, by their number."""
    figures = report.sample_figures(folder)
    series = []
    for name, what, caches in (('postgres_exporter\'s query', 'postgres_exporter', 'warm'),
                               ('pg_stat_activity grouped', 'pg_stat_activity', 'warm'),
                               ("core's snapshot, cold caches", 'core', 'cold'),
                               ('one sample, cold caches', 'sample', 'cold'),
                               ('one sample, warm caches', 'sample', 'warm'),
                               ('plain read of memory, cold caches', 'limit', 'cold')):
        points = sorted((key[2], value) for key, value in figures.items()
                        if key[0] == 'real' and key[3] == what and key[4] == caches)
        if points:
            series.append((name, points))
    counts = sorted({x for _, points in series for x, _ in points})
    values = [y for _, points in series for _, y in points]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    panel = Panel('One reading of all sessions', 'by the number of sessions; both axes logarithmic')
    left, right = 80, 300
    across = scale(counts[0], counts[-1], left, WIDTH - right, True)
    up = scale(low, high, HEIGHT - BOTTOM, TOP + 10, True)
    power = low
    while power <= high:
        panel.line(left, up(power), WIDTH - right, up(power))
        panel.text(left - 8, up(power) + 4, time_label(power), anchor='end')
        power *= 10
    for count in counts:
        panel.text(across(count), HEIGHT - BOTTOM + 20, f'{count:,}', anchor='middle')
    ends = []
    for (name, points), color in zip(series, COLORS[::-1]):
        for (x1, y1), (x2, y2) in zip(points, points[1:]):
            panel.line(across(x1), up(y1), across(x2), up(y2), color, 2)
        for x, y in points:
            panel.dot(across(x), up(y), color)
        ends.append([up(points[-1][1]), name, color])
    # names beside the ends of their lines, none upon another
    ends.sort()
    for before, end in zip(ends, ends[1:]):
        end[0] = max(end[0], before[0] + 16)
    for y, name, color in ends:
        panel.text(WIDTH - right + 12, y + 4, name, color=color)
    return panel


def paired_panel(folder, file, key, unit, title):
    """What the server pays: medians of the ratios with their intervals."""
    rows = []
    for (kind,), group in report.by(report.rows(folder, file), key).items():
        for (server,), _ in report.by(group, 'server').items():
            if server == 'without':
                continue
            ratios = report.pgbench_ratios(group, unit, server)
            low, high = report.bootstrap(ratios)
            rows.append((kind, server, *(100 * (value - 1) for value in (report.median(ratios), low, high))))
    names = {'with': 'pool_monitor', 'again': 'the same server again (A/A)'}
    order = {'with': 0, 'again': 1}
    kinds = [row[0] for row in rows]
    rows.sort(key=lambda row: (kinds.index(row[0]), order.get(row[1], 2)))
    limit = max(1, math.ceil(max(abs(value) for row in rows for value in row[2:])))
    height = TOP + BOTTOM + 20 * len(rows) + 14 * len({row[0] for row in rows})
    panel = Panel(title, 'beside a server without; median of the rounds with its 95% confidence interval', height)
    left = 400
    across = scale(-limit, limit, left, WIDTH - 40, False)
    step = max(1, limit // 4)
    for tick in range(-limit // step * step, limit + 1, step):
        if abs(tick) <= limit:
            panel.line(across(tick), TOP, across(tick), height - BOTTOM, '#555' if tick == 0 else '#ccc')
            panel.text(across(tick), height - BOTTOM + 18, f'{tick:+d}%' if tick else '0', anchor='middle')
    y, last = TOP + 6, None
    for kind, server, middle, low, high in rows:
        if kind != last:
            y += 14
            panel.text(20, y + 4, kind, weight='bold')
            last = kind
        color = {'with': COLORS[0], 'again': COLORS[1]}.get(server, COLORS[2])
        panel.text(left - 12, y + 4, names.get(server, server), anchor='end', color=color)
        panel.line(across(low), y, across(high), y, color, 3)
        panel.dot(across(middle), y, color, 5)
        y += 20
    return panel


def readers_panel(folder):
    """Each view beside the same from pg_stat_activity, at 2,000 sessions."""
    table = [row for row in report.rows(folder, 'readers.csv') if row['groups'] == 'few']
    figures = {(int(s), what): report.median([float(row['us']) for row in group])
               for (s, what), group in report.by(table, 'sessions', 'what').items()}
    levels = sorted({s for s, _ in figures})
    sessions = 2000 if 2000 in levels else levels[-1]
    views = []
    for row in table:
        pair = (row['what'], row['equivalent'])
        if row['equivalent'] and pair not in views:
            views.append(pair)
    height = TOP + BOTTOM + 34 * len(views)
    panel = Panel(f'Readers, {sessions:,} sessions', 'milliseconds, logarithmic; grey: the same from pg_stat_activity', height)
    values = [figures[sessions, name] / 1e3 for pair in views for name in pair]
    low, high = 10 ** math.floor(math.log10(min(values))), 10 ** math.ceil(math.log10(max(values)))
    across = scale(low, high, LEFT, WIDTH - 110, True)
    power = low
    while power <= high * 1.001:
        panel.line(across(power), TOP, across(power), height - BOTTOM)
        panel.text(across(power), height - BOTTOM + 18, time_label(power * 1e6), anchor='middle')
        power *= 10
    for i, (view, other) in enumerate(views):
        ours, theirs = figures[sessions, view] / 1e3, figures[sessions, other] / 1e3
        y = TOP + 8 + 34 * i
        panel.text(LEFT - 10, y + 16, view, anchor='end')
        panel.bar(LEFT, y, across(ours) - LEFT, 12, COLORS[0])
        panel.bar(LEFT, y + 13, across(theirs) - LEFT, 9, '#b5b5b5')
        panel.text(WIDTH - 95, y + 16, f'{theirs / ours:.0f} times')
    return panel


def main():
    folder, output = sys.argv[1:]
    panels = []

    def have(name):
        return os.path.exists(os.path.join(folder, name))

    if have('sample.csv'):
        panels.append(sample_panel(folder))
    for version in (15, 17, 18, 19):
        if have(f'pgbench-{version}.csv'):
            panels.append(paired_panel(folder, f'pgbench-{version}.csv', 'workload', 'tps',
                                       f'Transactions per second, PostgreSQL {version}'))
    for version in (15, 17, 18, 19):
        if have(f'logins-{version}.csv'):
            panels.append(paired_panel(folder, f'logins-{version}.csv', 'kind', 'per_second',
                                       f'Logins per second, PostgreSQL {version}'))
    if have('readers.csv'):
        panels.append(readers_panel(folder))

    height = sum(panel.height for panel in panels)
    with open(output, 'w', encoding='utf-8') as file:
        file.write(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
                   f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif">\n'
                   f'<rect width="{WIDTH}" height="{height}" fill="white"/>\n')
        y = 0
        for panel in panels:
            file.write(f'<g transform="translate(0 {y})">\n' + '\n'.join(panel.pieces) + '\n</g>\n')
            y += panel.height
        file.write('</svg>\n')


if __name__ == '__main__':
    main()
