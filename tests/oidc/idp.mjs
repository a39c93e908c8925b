// A real OpenID provider on loopback, for tests: `node idp.mjs MODULES [PORT]`.
//
// Prints one line of JSON when it listens, and ends when its standard input does. Each start makes new keys, so
// starting it again on the same port is a rotation. Anybody can log in with any password; what the provider says
// about them is below.
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { pathToFileURL } from 'node:url';

const [modules, port] = [process.argv[2], Number(process.argv[3] ?? 0)];
const { default: Provider } = await import(pathToFileURL(`${modules}/oidc-provider/lib/index.js`));

const users = {
  alice: { email: 'alice@example.com', email_verified: true, groups: ['developers', 'eng'] },
  dana: { email: 'dana@example.com', email_verified: true, groups: ['dba'] },
  mallory: { email: 'alice@example.com', email_verified: false, groups: ['dba'] },
  twin: { email: 'Alice@Example.com', email_verified: true, preferred_username: 'twin', groups: [] },
};

function key(type, options, alg) {
  const jwk = generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' });
  return { ...jwk, kid: randomUUID(), use: 'sig', alg };
}

function client(id, alg) {
  return {
    client_id: id,
    token_endpoint_auth_method: 'none',
    application_type: 'native',
    redirect_uris: ['http://127.0.0.1/callback'],
    grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
    response_types: ['code'],
    id_token_signed_response_alg: alg,
  };
}

const configuration = {
  clients: [client('sallyport', 'RS256'), client('sallyport-ec', 'ES256'), client('sallyport-ed', 'EdDSA')],
  jwks: {
    keys: [
      key('rsa', { modulusLength: 2048 }, 'RS256'),
      key('ec', { namedCurve: 'P-256' }, 'ES256'),
      key('ed25519', {}, 'EdDSA'),
    ],
  },
  claims: {
    openid: ['sub'],
    email: ['email', 'email_verified'],
    profile: ['preferred_username', 'groups'],
  },
  // The claims are in the ID token too, not only at the userinfo endpoint.
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id, ...users[id] }),
  }),
  features: { devInteractions: { enabled: true }, deviceFlow: { enabled: true } },
  cookies: { keys: [randomUUID()] },
  ttl: { AccessToken: 300, DeviceCode: 300, Grant: 3600, IdToken: 300, Interaction: 600, Session: 3600 },
};

const { createServer } = await import('node:http');
const server = createServer((request, response) => provider.callback()(request, response));
let provider;
server.listen(port, '127.0.0.1', () => {
  const issuer = `http://127.0.0.1:${server.address().port}`;
  provider = new Provider(issuer, configuration);
  console.log(JSON.stringify({ issuer }));
});
process.stdin.resume().on('end', () => process.exit(0));
