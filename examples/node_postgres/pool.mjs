// A pool whose connections say which service they belong to, and whose
// statements say which code they come from.
import pg from 'pg'

// The server's address comes from PGHOST, PGPORT, PGUSER, PGDATABASE.
// pool_monitor.conf says the same to the server.
export const pool = new pg.Pool({
  application_name: 'shop-web',
  max: 4,
  idleTimeoutMillis: 10000,
  connectionTimeoutMillis: 5000
})

// Without this the process dies when the server closes a connection that is
// idle in the pool.
pool.on('error', error => console.error(`idle connection lost: ${error.message}`))

// A comment in the form of sqlcommenter: keys of the setting pool_monitor.tags,
// with few values each
export function tagged (tags, text) {
  const encode = value => encodeURIComponent(value).replace(/[!'()*]/g, c => `%${c.charCodeAt(0).toString(16)}`)
  const comment = Object.keys(tags).sort().map(key => `${key}='${encode(tags[key])}'`).join(',')
  return `/*${comment}*/ ${text}`
}

// One connection and one transaction for all that work() does
export async function transaction (tags, work) {
  const client = await pool.connect()
  let failure
  try {
    await client.query(tagged(tags, 'BEGIN'))
    const result = await work((text, values) => client.query(tagged(tags, text), values))
    await client.query('COMMIT')
    return result
  } catch (error) {
    failure = error
    await client.query('ROLLBACK').then(() => { failure = undefined }, () => {})
    throw error
  } finally {
    client.release(failure)   // an error: the pool closes it
  }
}
