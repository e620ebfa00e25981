// A certified OpenID provider (npm package oidc-provider) on loopback, set up the way a
// provider for talosctl-oidc is set up. It prints one JSON line when it listens:
//   {"issuer":"http://127.0.0.1:40123","port":40123,"clients":{…},"accounts":[…]}
// and then serves until it is ended, or until standard input ends with --exit-with-stdin.
//
// Nothing here is secret and nothing is kept: keys are made at start, sessions live in memory.

import { generateKeyPairSync } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { parseArgs } from 'node:util';

import { Provider } from 'oidc-provider';

const { values: flags } = parseArgs({
  options: {
    port: { type: 'string', default: '0' },
    // Where it listens; with certificate and key it speaks HTTPS.
    host: { type: 'string', default: '127.0.0.1' },
    'tls-cert': { type: 'string' },
    'tls-key': { type: 'string' },
    // Signing algorithm of the ID tokens of `talosctl` and `talosctl-secret`.
    alg: { type: 'string', default: 'RS256' },
    // Which keys the JWKS holds; their names get the suffix, so that a restart can rotate them.
    keys: { type: 'string', default: 'RS256,ES256,EdDSA' },
    'kid-suffix': { type: 'string', default: '1' },
    // Lifetimes in seconds.
    'id-ttl': { type: 'string', default: '300' },
    'access-ttl': { type: 'string', default: '300' },
    'code-ttl': { type: 'string', default: '60' },
    'refresh-ttl': { type: 'string', default: '3600' },
    'device-ttl': { type: 'string', default: '300' },
    // Redirect URI of the clients; a loopback one may come back with any port (RFC 8252 7.3).
    redirect: { type: 'string', default: 'http://127.0.0.1:8900/callback' },
    'no-refresh': { type: 'boolean', default: false },
    // No device flow (RFC 8628), as with many a provider.
    'no-device': { type: 'boolean', default: false },
    // OpenID Connect Core 1.0 section 11 to the letter: `offline_access` counts only together
    // with `prompt=consent`. Without the flag every login gets a refresh token.
    'strict-offline': { type: 'boolean', default: false },
    // File that gets every code, verifier, token and device code that passes, one JSON string a
    // line: what nobody else may print.
    record: { type: 'string' },
    'exit-with-stdin': { type: 'boolean', default: false },
  },
});

const accounts = {
  alice: { email: 'alice@example.com', email_verified: true, groups: ['platform-admins', 'staff'] },
  bob: { email: 'bob@example.com', email_verified: true, groups: ['developers', 'staff'] },
  carol: { email: 'carol@example.com', email_verified: false, groups: [] },
};

/** The private JWK for one signing algorithm. */
function signingKey(alg) {
  const rsa = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
  const make = {
    RS256: rsa,
    PS256: rsa,
    ES256: () => generateKeyPairSync('ec', { namedCurve: 'P-256' }),
    EdDSA: () => generateKeyPairSync('ed25519'),
  }[alg];
  if (make === undefined) throw new Error(`no key for ${alg}: use RS256, PS256, ES256 or EdDSA`);
  const kid = `${alg.toLowerCase()}-${flags['kid-suffix']}`;
  return { ...make().privateKey.export({ format: 'jwk' }), kid, alg, use: 'sig' };
}

const grants = ['authorization_code'];
if (!flags['no-device']) grants.push('urn:ietf:params:oauth:grant-type:device_code');
if (!flags['no-refresh']) grants.push('refresh_token');

const client = {
  application_type: 'native',
  redirect_uris: [flags.redirect],
  response_types: ['code'],
  grant_types: grants,
  id_token_signed_response_alg: flags.alg,
};
const clients = [
  { ...client, client_id: 'talosctl', token_endpoint_auth_method: 'none' },
  {
    ...client,
    client_id: 'talosctl-secret',
    client_secret: 'a confidential client, :%+ and all of it',
    token_endpoint_auth_method: 'client_secret_basic',
  },
  {
    ...client,
    client_id: 'talosctl-hs256',
    client_secret: 'the-hmac-secret-of-this-test-is-long-enough-for-hs256',
    token_endpoint_auth_method: 'client_secret_basic',
    id_token_signed_response_alg: 'HS256',
  },
];

const algs = new Set(flags.keys.split(','));
if (!flags.alg.startsWith('HS')) algs.add(flags.alg);

const seconds = (name) => () => Number(flags[name]);

const configuration = {
  clients,
  jwks: { keys: [...algs].map(signingKey) },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['name', 'preferred_username'],
    groups: ['groups'],
  },
  scopes: ['openid', 'offline_access'],
  // Claims of the asked scopes belong into the ID token, as Keycloak, Dex and others do it.
  conformIdTokenClaims: false,
  clientAuthMethods: ['none', 'client_secret_basic', 'client_secret_post'],
  enabledJWA: {
    idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA', 'HS256'],
  },
  pkce: { required: () => true },
  rotateRefreshToken: true,
  issueRefreshToken: async (ctx, asking, code) =>
    asking.grantTypeAllowed('refresh_token')
    && (!flags['strict-offline'] || code.scopes.has('offline_access')),
  features: {
    devInteractions: { enabled: true },
    deviceFlow: { enabled: !flags['no-device'] },
    revocation: { enabled: true },
    rpInitiatedLogout: { enabled: true },
  },
  cookies: { keys: ['only a test'] },
  ttl: {
    AccessToken: seconds('access-ttl'),
    AuthorizationCode: seconds('code-ttl'),
    DeviceCode: seconds('device-ttl'),
    IdToken: seconds('id-ttl'),
    RefreshToken: seconds('refresh-ttl'),
    Grant: 86400,
    Interaction: 600,
    Session: 86400,
  },
  async findAccount(ctx, id) {
    const known = accounts[id];
    if (known === undefined) return undefined;
    return {
      accountId: id,
      claims: async () => ({ sub: id, preferred_username: id, name: id, ...known }),
    };
  },
};

const secretNames = [
  'code', 'code_verifier', 'refresh_token', 'access_token', 'id_token', 'device_code', 'token',
  'client_secret',
];

/** Writes down the secrets that a request brought and that its answer carries. */
async function record(ctx, next) {
  await next();
  const location = ctx.response.get('location');
  const redirect = location ? new URL(location, ctx.href).searchParams : new URLSearchParams();
  for (const source of [ctx.oidc?.body, ctx.body, Object.fromEntries(redirect)]) {
    for (const name of secretNames) {
      const value = source?.[name];
      if (typeof value === 'string' && value.length >= 16) {
        appendFileSync(flags.record, `${JSON.stringify(value)}\n`);
      }
    }
  }
}

// The issuer holds the port, so the socket comes first.
const secure = flags['tls-cert'] !== undefined;
const server = secure
  ? createSecureServer({ cert: readFileSync(flags['tls-cert']), key: readFileSync(flags['tls-key']) })
  : createServer();
server.listen(Number(flags.port), flags.host, () => {
  const { port } = server.address();
  const issuer = `${secure ? 'https' : 'http'}://${flags.host}:${port}`;
  const provider = new Provider(issuer, configuration);
  if (flags.record) provider.use(record);
  provider.on('server_error', (ctx, error) => console.error(error));
  server.on('request', provider.callback());
  const named = Object.fromEntries(clients.map((c) => [c.client_id, c.client_secret ?? null]));
  console.log(JSON.stringify({ issuer, port, clients: named, accounts: Object.keys(accounts) }));
});

if (flags['exit-with-stdin']) {
  process.stdin.resume();
  process.stdin.on('end', () => process.exit(0));
}
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
