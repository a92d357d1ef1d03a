/*-------------------------------------------------------------------------
 *
 * report_style.c
 *	  The report's head: what it is to a browser, and how it looks.
 *
 * One file from 360 to 1,600 pixels: what is wider than the page scrolls in a
 * container of its own.  All colors are variables, in two sets, for light and for
 * dark; paper is light.  Text has a contrast of 4.5 to 1 at least in both, shapes
 * of 3 to 1.  A policy forbids the browser to run or to load anything, should
 * something get past the escaping.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"
#include "compat.h"

#include "query/report_sections.h"

static const char *const head =
"<!DOCTYPE html>\n"
"<html lang=\"en\">\n"
"<head>\n"
"<meta charset=\"utf-8\">\n"
"<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
"<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
"<title>Connection report</title>\n"
"<style>\n"
":root { color-scheme: light dark;\n"
"  --page: #ffffff; --text: #1b1b1a; --quiet: #55534d; --line: #d5d3cc; --card: #f8f7f4;\n"
"  --focus: #1f5fbf; --critical: #b3261e; --warning: #8a5200; --notice: #3d5a80; --band: #b3261e1f;\n"
"  --s1: #2a6fc9; --s2: #c0601a; --s3: #1a8468; --s4: #a8438f; --s5: #857300; --s6: #6a55c2; --s7: #b03a48; --s8: #0e7490; --s9: #8a8880; }\n"
"@media screen and (prefers-color-scheme: dark) { :root {\n"
"  --page: #181817; --text: #efeeea; --quiet: #b9b7af; --line: #45443f; --card: #232321;\n"
"  --focus: #8ab8f5; --critical: #ff8f85; --warning: #f0b35c; --notice: #9dbce0; --band: #ff8f8526;\n"
"  --s1: #5b9cf0; --s2: #e08a45; --s3: #3fb894; --s4: #d67fc2; --s5: #c3ad3a; --s6: #a493ee; --s7: #e8788a; --s8: #45b4cf; --s9: #8f8d85; } }\n"
"* { box-sizing: border-box; }\n"
"body { margin: 0; background: var(--page); color: var(--text); font: 16px/1.5 system-ui, \"Segoe UI\", Roboto, \"Helvetica Neue\", sans-serif; }\n"
"main { max-width: 84rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }\n"
"h1 { font-size: 1.75rem; line-height: 1.2; margin: 0 0 .5rem; }\n"
"h2 { font-size: 1.25rem; margin: 2.5rem 0 .75rem; padding-bottom: .25rem; border-bottom: 1px solid var(--line); }\n"
"h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }\n"
"p { margin: .4rem 0; max-width: 50rem; overflow-wrap: anywhere; }\n"
".about, .reference, figcaption { color: var(--quiet); font-size: .875rem; }\n"
".verdicts { list-style: none; margin: 1rem 0; padding: 0; display: grid; gap: .75rem; grid-template-columns: repeat(auto-fit, minmax(min(100%, 28rem), 1fr)); }\n"
".verdicts li { background: var(--card); border: 1px solid var(--line); border-left: .4rem solid var(--notice); border-radius: .25rem; padding: .6rem 1rem; }\n"
".verdicts { counter-reset: rank; } .finding::before { counter-increment: rank; content: counter(rank) \". \"; font-weight: 600; }\n"
".verdicts .critical { border-left-color: var(--critical); }\n"
".verdicts .warning { border-left-color: var(--warning); }\n"
".severity { display: inline-block; color: var(--page); background: var(--notice); border-radius: .25rem; padding: 0 .5rem; margin-right: .25rem; font-weight: 600; font-size: .8125rem; text-transform: uppercase; letter-spacing: .03em; }\n"
".critical .severity { background: var(--critical); }\n"
".warning .severity { background: var(--warning); }\n"
".figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .75rem; margin: 1rem 0; }\n"
".figures div { background: var(--card); border: 1px solid var(--line); border-radius: .25rem; padding: .5rem .75rem; display: flex; flex-direction: column-reverse; justify-content: flex-end; }\n"
".figures dt { color: var(--quiet); font-size: .8125rem; }\n"
".figures dd { margin: 0; font-size: 1.5rem; line-height: 1.2; font-variant-numeric: tabular-nums; }\n"
"figure { margin: 0 0 1rem; }\n"
".scroll { overflow-x: auto; max-width: 100%; margin: .5rem 0 1rem; }\n"
".scroll:focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }\n"
"table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }\n"
"caption { text-align: left; font-weight: 600; padding: .25rem 0 .5rem; }\n"
"th, td { text-align: left; vertical-align: top; padding: .3rem .75rem .3rem 0; border-bottom: 1px solid var(--line); }\n"
"thead th { color: var(--quiet); font-weight: 600; vertical-align: bottom; border-bottom: 2px solid var(--line); }\n"
"tbody th { font-weight: 600; overflow-wrap: break-word; min-width: 8rem; max-width: 24rem; }\n"
"td { overflow-wrap: break-word; max-width: 28rem; }\n"
"th.n, td.n { text-align: right; }\n"
"td.n { white-space: nowrap; }\n"
"td.code { min-width: 18rem; max-width: 40rem; } td.code code { overflow-wrap: anywhere; }\n"
"code { font: .8125rem/1.45 ui-monospace, \"SF Mono\", Menlo, Consolas, monospace; }\n"
"svg text { font: 13px system-ui, \"Segoe UI\", Roboto, sans-serif; fill: var(--text); }\n"
".chart { display: block; width: 100%; min-width: 52rem; height: auto; }\n"
".key { display: inline-block; width: .75rem; height: .75rem; margin-right: .5rem; }\n"
".s1 { fill: var(--s1); } .s2 { fill: var(--s2); } .s3 { fill: var(--s3); } .s4 { fill: var(--s4); } .s5 { fill: var(--s5); }\n"
".s6 { fill: var(--s6); } .s7 { fill: var(--s7); } .s8 { fill: var(--s8); } .s9 { fill: var(--s9); }\n"
"path[class^=s] { stroke: var(--page); stroke-width: .6; }\n"
"svg .axis { fill: var(--quiet); } .end { text-anchor: end; } .middle { text-anchor: middle; }\n"
".grid { stroke: var(--line); fill: none; } .tick { stroke: var(--quiet); fill: none; }\n"
".highest { stroke: var(--text); stroke-width: 1.2; fill: none; }\n"
".limit { stroke: var(--critical); stroke-width: 2; stroke-dasharray: 7 4; fill: none; }\n"
"svg .limit-label { fill: var(--critical); font-weight: 600; }\n"
".band { fill: var(--band); stroke: var(--critical); stroke-width: .5; }\n"
"svg .band-label { font-weight: 600; }\n"
".mark { fill: var(--critical); }\n"
".in { fill: var(--s1); fill-opacity: .35; } .out { fill: var(--s1); } .capacity { fill: none; stroke: var(--text); stroke-width: 1.5; } .peak { fill: none; stroke: var(--critical); stroke-width: 3; }\n"
"@media print {\n"
"  body { font-size: 10pt; } main { max-width: none; padding: 0; }\n"
"  h2, h3, caption, thead { break-after: avoid; } .verdicts li, figure, tr { break-inside: avoid; }\n"
"  .scroll { overflow: visible; } .chart { min-width: 0; }\n"
"  table { width: 100%; font-size: 7pt; } code { font-size: 7pt; }\n"
"  th, td, tbody th, td.code { min-width: 0; max-width: none; padding-right: 3pt; overflow-wrap: anywhere; } tbody th { min-width: 10em; } td.n { white-space: normal; }\n"
"  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }\n"
"}\n"
"</style>\n"
"</head>\n";

void
pmon_report_head(PmonHtml *html)
{
	pmon_html_markup(html, head);
}
