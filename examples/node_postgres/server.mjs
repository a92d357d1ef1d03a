// PORT=8000 PGHOST=db PGUSER=shop PGDATABASE=shop node server.mjs
import { createServer } from 'node:http'
import { pool, tagged, transaction } from './pool.mjs'

const service = process.env.SERVICE_URL ?? 'http://localhost:9000'

const routes = {
  '/orders/:order': async (route, order) =>
    (await pool.query(tagged({ application: 'shop', route }, 'SELECT $1::integer AS id'), [order])).rows[0],
  // What fills pools in practice: it asks another service while it holds a
  // connection, in a transaction
  '/payments/:order': (route, order) =>
    transaction({ application: 'shop', route }, async query => {
      await query('SELECT $1::integer AS id', [order])
      await (await fetch(`${service}/payments/${order}`)).text()
      return { paid: Number(order) }
    }),
  // What the pool of this process says itself
  '/pool': () => ({ total: pool.totalCount, checked_out: pool.totalCount - pool.idleCount, capacity: pool.options.max })
}

const server = createServer(async (request, response) => {
  const [, name, argument] = request.url.split('/')
  const route = Object.keys(routes).find(route => route.split('/')[1] === name)
  const answer = (status, body) =>
    response.writeHead(status, { 'Content-Type': 'application/json' }).end(JSON.stringify(body))
  try {
    if (route) answer(200, await routes[route](route, argument))
    else answer(404, { error: 'no such page' })
  } catch (error) {
    answer(503, { error: error.message })
  }
})
server.listen(Number(process.env.PORT ?? 8000), '127.0.0.1')
process.on('SIGTERM', () => { server.close(); pool.end() })
