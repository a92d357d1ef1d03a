// node validate.mjs DASHBOARD.json...: checks dashboards against the types that
// Grafana publishes for them in @grafana/schema: the dashboard, the options of
// each panel, and the field settings of its type.  Prints TAP without numbers.
// Run it where package.json's packages are installed, beside tsconfig.json.
import fs from 'node:fs';
import path from 'node:path';
import Ajv from 'ajv';
import { createGenerator } from 'ts-json-schema-generator';

const types = 'node_modules/@grafana/schema/dist/types/raw';
const validators = new Map();

function test(holds, fact, why = []) {
  console.log(`${holds ? 'ok' : 'not ok'} - ${fact}`);
  for (const line of why.slice(0, 8)) console.log(`# ${line}`);
}

// A validator for a type in one of Grafana's files; null if there is none
function validator(file, type) {
  const key = `${file} ${type}`;
  if (!validators.has(key)) {
    const source = path.join(types, file, 'x/types.gen.d.ts');
    let validate = null;
    if (fs.existsSync(source) && new RegExp(`export interface ${type}\\b`).test(fs.readFileSync(source, 'utf8'))) {
      const schema = createGenerator({
        path: source, type, tsconfig: 'tsconfig.json', skipTypeCheck: true, additionalProperties: false,
      }).createSchema(type);
      validate = new Ajv({ allErrors: true, strict: false }).compile(schema);
    }
    validators.set(key, validate);
  }
  return validators.get(key);
}

function errors(validate, value) {
  return validate(value) ? [] : validate.errors.map(e => `${e.instancePath} ${e.message} ${JSON.stringify(e.params)}`);
}

// Panels must not lie on each other, nor reach out of the 24 columns
function overlaps(panels) {
  const found = [];
  panels.forEach(({ id, gridPos: a }, i) => {
    if (a.x + a.w > 24) found.push(`panel ${id} is too wide`);
    for (const { id: other, gridPos: b } of panels.slice(i + 1)) {
      if (a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h) found.push(`panel ${id} lies on ${other}`);
    }
  });
  return found;
}

// The published type of an annotation's query is that of the built-in one
// only, so that part is taken out.
function withoutAnnotationQueries(dashboard) {
  const copy = structuredClone(dashboard);
  for (const annotation of copy.annotations.list) delete annotation.target;
  return copy;
}

function checkPanels(name, dashboard) {
  for (const panel of dashboard.panels.filter(p => p.type !== 'row')) {
    const file = `composable/${panel.type}/panelcfg`;
    const options = validator(file, 'Options');
    const fields = validator(file, 'FieldConfig');
    const custom = panel.fieldConfig.defaults.custom;
    const why = options ? errors(options, panel.options).map(e => `options${e}`) : [`unknown type ${panel.type}`];
    if (custom && fields) why.push(...errors(fields, custom).map(e => `fieldConfig.defaults.custom${e}`));
    for (const target of panel.targets) {
      if (target.datasource.uid !== '${datasource}') why.push(`query ${target.refId} is bound to a data source`);
    }
    if (!/[?.]$/.test(panel.description ?? '')) why.push('it does not say what it answers');
    test(why.length === 0, `${name}: panel "${panel.title}" is one of Grafana's`, why);
  }
}

for (const file of process.argv.slice(2)) {
  const name = path.basename(file);
  const dashboard = JSON.parse(fs.readFileSync(file, 'utf8'));
  const why = errors(validator('dashboard', 'Dashboard'), withoutAnnotationQueries(dashboard));
  test(why.length === 0, `${name} is a dashboard as Grafana publishes the type`, why);
  const ids = dashboard.panels.map(p => p.id);
  test(new Set(ids).size === ids.length, `${name}: each panel has its own id`);
  const overlapping = overlaps(dashboard.panels);
  test(overlapping.length === 0, `${name}: no panel lies on another`, overlapping);
  checkPanels(name, dashboard);
}

// A check that finds nothing may be one that can find nothing
const broken = JSON.parse(fs.readFileSync(process.argv[2], 'utf8'));
broken.panels.find(p => p.type === 'stat').options.colorMode = 'loud';
broken.tags = 'postgresql';
test(broken.panels.filter(p => p.type !== 'row').every(p => p.description.includes('?')), 'a description is a question that the panel answers');
test(errors(validator('dashboard', 'Dashboard'), withoutAnnotationQueries(broken)).length > 0, 'a wrong dashboard is noticed');
test(errors(validator('composable/stat/panelcfg', 'Options'), broken.panels.find(p => p.type === 'stat').options).length > 0,
  'a wrong option is noticed');
