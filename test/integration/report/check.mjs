// check.mjs FOLDER FILE...: looks at reports as a browser does, in light and dark,
// wide and narrow and on paper, and says as TAP what is wrong.  Leaves pictures
// and a PDF of each beside it in FOLDER.

import { readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import axe from 'axe-core';
import { HtmlValidate } from 'html-validate';
import puppeteer from 'puppeteer-core';

const [folder, ...files] = process.argv.slice(2);

function test(label, problems) {
	console.log(`${problems.length ? 'not ok' : 'ok'} - ${label}`);
	for (const problem of problems)
		console.log(`# ${String(problem).replace(/\n/g, '\n# ')}`);
}

const validator = new HtmlValidate({
	extends: ['html-validate:recommended', 'html-validate:document'],
	// of a title that is shown: ours are short; lines may be long
	rules: { 'no-trailing-whitespace': 'off' },
});

async function validate(label, file) {
	const report = await validator.validateString(readFileSync(file, 'utf8'));
	test(`${label}: html-validate has nothing to say`,
		report.results.flatMap(r => r.messages).map(m => `${m.line}:${m.column} ${m.ruleId}: ${m.message}`));
}

const views = [
	{ name: 'light', width: 1280, scheme: 'light' },
	{ name: 'wide', width: 1600, scheme: 'light' },
	{ name: 'dark', width: 1280, scheme: 'dark' },
	{ name: 'narrow', width: 360, scheme: 'light' },
	{ name: 'narrow-dark', width: 360, scheme: 'dark' },
	{ name: 'paper', width: 794, scheme: 'dark', media: 'print' },
];

// What a browser says, and asks for, while it shows the file
function listen(page, address) {
	const heard = [];
	page.on('console', message => heard.push(`console: ${message.text()}`));
	page.on('pageerror', error => heard.push(`error: ${error.message}`));
	page.on('request', request => {
		if (request.url() !== address)
			heard.push(`request: ${request.url()}`);
	});
	return heard;
}

// In the page: what is too wide, where the page would scroll sideways
function overflow() {
	const page = document.scrollingElement;
	if (page.scrollWidth <= window.innerWidth)
		return [];
	return [`${page.scrollWidth} > ${window.innerWidth}`, ...[...document.querySelectorAll('body *')]
		.filter(e => !e.closest('.scroll') && e.getBoundingClientRect().right > window.innerWidth)
		.map(e => e.outerHTML.slice(0, 100))];
}

async function look(browser, label, file, view) {
	const page = await browser.newPage();
	const address = `file://${file}`;
	const heard = listen(page, address);

	await page.setViewport({ width: view.width, height: 900 });
	await page.emulateMediaFeatures([{ name: 'prefers-color-scheme', value: view.scheme }]);
	if (view.media)
		await page.emulateMediaType(view.media);
	await page.goto(address, { waitUntil: 'networkidle0' });
	test(`${label}, ${view.name}: it is silent and asks for nothing`, heard);
	test(`${label}, ${view.name}: the page does not scroll sideways`, await page.evaluate(overflow));
	await page.screenshot({ path: join(folder, `${label}-${view.name}.png`), fullPage: true });
	if (view.media)
		await page.pdf({ path: join(folder, `${label}.pdf`), format: 'A4' });
	await page.evaluate(axe.source);
	const { violations } = await page.evaluate(() => window.axe.run({ resultTypes: ['violations'] }));
	test(`${label}, ${view.name}: axe has nothing to say`,
		violations.map(v => `${v.id}: ${v.help}\n${v.nodes.slice(0, 3).map(n => `${n.html}\n${n.failureSummary}`).join('\n')}`));
	await page.close();
}

const browser = await puppeteer.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox', '--disable-gpu'] });
for (const file of files) {
	const label = basename(file, '.html');

	await validate(label, file);
	for (const view of views)
		await look(browser, label, file, view);
}
await browser.close();
