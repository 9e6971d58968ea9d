// What the other clients of tests/peers do, by node-vault (../README.md).
//
//   NODE_MODULES=DIRECTORY node client.mjs      environment: VAULT_ADDR, VAULT_TOKEN, VAULT_NAMESPACE, ROLE_ID, SECRET_ID; MARKER=no: without X-Vault-Request
import { createRequire } from 'node:module';

const vault = createRequire(process.env.NODE_MODULES + '/')('node-vault');
const marker = process.env.MARKER === 'no' ? {} : { 'X-Vault-Request': 'true' };
const steps = {};

const fresh = (token) => {
  const client = vault({ requestOptions: { headers: { ...marker } } }); // the client itself puts its token into it
  client.token = token ?? process.env.VAULT_TOKEN ?? '';
  return client;
};

async function step(name, run) {
  try {
    steps[name] = await run();
  } catch (error) {
    steps[name] = error.response
      ? { status: error.response.statusCode, errors: error.response.body?.errors ?? [] }
      : { error: String(error) };
  }
}

const client = fresh();
await step('kv2_write', async () => (await client.write('kv/data/client/a', { data: { value: 'first' } })).data.version > 0);
await step('kv2_read', async () => (await client.read('kv/data/client/a')).data.data);
await step('kv2_list', async () => (await client.list('kv/metadata/client')).data.keys);
await step('kv2_missing', async () => client.read('kv/data/client/none'));
await step('kv2_delete', async () => (await client.delete('kv/metadata/client/a'), true));
await step('kv1_write', async () => (await client.write('kv1/client/b', { value: 'one' }), true));
await step('kv1_read', async () => (await client.read('kv1/client/b')).data);
await step('kv1_list', async () => (await client.list('kv1/client')).data.keys);
await step('kv1_delete', async () => (await client.delete('kv1/client/b'), true));
await step('denied', async () => client.read('sys/auth'));
await step('no_mount', async () => client.read('nothing/here'));
await step('wrong_token', async () => fresh('wrong').read('kv/data/app'));
await step('transit', async () => {
  const plain = Buffer.from('text').toString('base64');
  const sealed = await client.encryptData({ name: 'k', plaintext: plain });
  return (await client.decryptData({ name: 'k', ciphertext: sealed.data.ciphertext })).data.plaintext === plain;
});
let lease = '';
await step('dynamic', async () => {
  const answer = await client.read('database/creds/readonly');
  lease = answer.lease_id;
  return { username: answer.data.username, password: answer.data.password, renewable: answer.renewable };
});
await step('lease_renew', async () => (await client.write('sys/leases/renew', { lease_id: lease, increment: 60 })).lease_id === lease);
await step('lease_revoke', async () => (await client.revoke({ lease_id: lease }), true));
await step('self', async () => {
  const { data } = await client.tokenLookupSelf();
  return { id: data.id ?? '', accessor: 'accessor' in data, path: data.path };
});
await step('renew_self', async () => {
  const { auth } = await client.tokenRenewSelf();
  return { id: auth.client_token, lasts: auth.lease_duration > 0 };
});
await step('wrap', async () => {
  const wrapped = await client.read('kv/data/app', { headers: { ...marker, 'X-Vault-Wrap-TTL': '60s' } });
  return (await fresh(wrapped.wrap_info.token).unwrap()).data.data;
});
await step('login', async () => {
  const own = (await fresh().approleLogin({ role_id: process.env.ROLE_ID, secret_id: process.env.SECRET_ID })).auth.client_token;
  const mine = fresh(own);
  const { data } = await mine.tokenLookupSelf();
  await mine.tokenRevokeSelf();
  const gone = await mine.read('kv/data/app').then(() => false, (error) => error.response.statusCode === 403);
  return { own_id: data.id === own && 'accessor' in data, gone };
});
console.log(JSON.stringify(steps));
