// Asks a server as fast as it answers.
import { Pool } from 'undici';

const [port, ms] = process.argv.slice(2).map(Number);
const CONNECTIONS = 32;
const pool = new Pool(`http://127.0.0.1:${port}`, { connections: CONNECTIONS });
let answered = 0;

async function ask(until) {
  while (performance.now() < until) {
    const { statusCode, body } = await pool.request({
      path: `/_synapse/client/page/bob?at=${answered}`,
      method: 'GET',
    });
    await body.text();
    if (statusCode !== 200) throw new Error(`status ${statusCode}`);
    answered++;
  }
}

const abreast = (forMs) => Promise.all(Array.from({ length: CONNECTIONS }, () => ask(performance.now() + forMs)));
await abreast(ms / 3);
answered = 0;
const startedAt = performance.now();
await abreast(ms);
process.send((answered / (performance.now() - startedAt)) * 1000);
await pool.close();
process.disconnect();
