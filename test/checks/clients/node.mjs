// node-postgres and postgres.js, under the commands of trials.py: see there.
//
//   node node.mjs pg|postgres APPLICATION [SETTING=VALUE...]
//
// The settings "listener" and "client_listener" stand for pool.on('error') and
// client.on('error') in the application.
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import postgres from 'postgres'

const [kind, application, ...words] = process.argv.slice(2)
const { listener, client_listener: clientListener, ...settings } =
  Object.fromEntries(words.map(word => word.split('=')).map(([name, value]) => [name, Number(value)]))
const server = { host: '127.0.0.1', port: Number(process.env.PGPORT), database: 'postgres', user: 'application', max: 4 }

// Each has request(), hold(begin), which returns a connection, and use(it)
function nodePostgres () {
  const pool = new pg.Pool({ ...server, application_name: application, ...settings })
  if (listener) pool.on('error', () => {})
  return {
    request: () => pool.query('SELECT pg_sleep(0.001)'),
    async hold (begin) {
      const client = await pool.connect()
      if (clientListener) client.on('error', () => {})
      await client.query(begin ? 'BEGIN' : 'SELECT 1')
      return client
    },
    async use (client) {
      try {
        await client.query('SELECT 1')
        client.release()
      } catch (error) {
        client.release(error)
        throw error
      }
    }
  }
}

function postgresJs () {
  const sql = postgres({ ...server, connection: { application_name: application }, ...settings })
  return {
    request: () => sql`SELECT pg_sleep(0.001)`,
    async hold (begin) {
      if (!begin) {
        const reserved = await sql.reserve()
        await reserved`SELECT 1`
        return { use: () => reserved`SELECT 1`.finally(() => reserved.release()) }
      }
      let goOn
      const signal = new Promise(resolve => { goOn = resolve })
      let begun
      const ready = new Promise(resolve => { begun = resolve })
      const done = sql.begin(async transaction => {
        await transaction`SELECT 1`
        begun()
        await signal
        await transaction`SELECT 1`
      })
      done.catch(() => {})
      await ready
      return { use () { goOn(); return done } }
    },
    use: held => held.use()
  }
}

const client = kind === 'pg' ? nodePostgres() : postgresJs()
let result
let held

async function attempt (work) {
  result.requests++
  try {
    await work()
  } catch (error) {
    const why = `${error.code ?? ''} ${error.message}`.trim()
    result.errors[why] = (result.errors[why] ?? 0) + 1
  }
}

async function load (seconds, gap) {
  const end = performance.now() + seconds * 1000
  while (performance.now() < end) {
    await attempt(client.request)
    await sleep(gap * (0.8 + 0.4 * Math.random()))
  }
}

const commands = {
  fill: () => attempt(() => Promise.all(Array.from({ length: 4 }, client.request))),
  async request (count) { for (let i = 0; i < count; i++) await attempt(client.request) },
  load: (seconds, gap) => Promise.all(Array.from({ length: 4 }, () => load(seconds, gap))),
  begin: () => attempt(async () => { held = await client.hold(true) }),
  hold: () => attempt(async () => { held = await client.hold(false) }),
  use: () => attempt(() => client.use(held))
}

for await (const line of createInterface({ input: process.stdin })) {
  const [command, ...values] = line.split(' ')
  result = { requests: 0, errors: {} }
  await commands[command](...values.map(Number))
  console.log(JSON.stringify(result))
}
process.exit(0)
