// A poll in Node: two processes, fastify and ioredis, one HMGET, a JSON map back.
'use strict';
const cluster = require('node:cluster');

if (cluster.isPrimary) {
  cluster.fork();
  cluster.fork();
  process.on('SIGTERM', () => cluster.disconnect(() => process.exit(0)));
} else {
  process.on('SIGTERM', () => process.exit(0));
  process.on('disconnect', () => process.exit(0));
  const Redis = require('ioredis');
  const redis = new Redis({ host: '127.0.0.1', port: Number(process.env.REDIS_PORT), enableAutoPipelining: true });
  const server = require('fastify')({ logger: false });
  const schema = {
    body: {
      type: 'object',
      required: ['self', 'users'],
      properties: { self: { type: 'string' }, users: { type: 'array', items: { type: 'string' } } },
    },
  };
  server.post('/v1/unread', { schema }, async (request) => {
    const { self, users } = request.body;
    const counts = await redis.hmget(`counts:${self}`, ...users);
    const answer = {};
    for (let at = 0; at < users.length; at += 1) answer[users[at]] = Number(counts[at] ?? 0);
    return answer;
  });
  server.listen({ host: '127.0.0.1', port: Number(process.env.PORT) });
}
