// A program as people write them for Clarifai's REST API: it signs in, makes an
// app and a key for it, makes calls with the key, and cleans up after itself.
// It needs Node.js 18 or newer, and nothing else.
//
// Where the API stands is in CLARIFAI_API_BASE, and by default is Clarifai's.
// The first line of standard input is the e-mail address and the second the
// password, for arguments and the environment can be read by others.
//
// Every line of standard output is what came of one call: its name, the status
// of HTTP, and the code of the answer.
'use strict';

const fs = require('node:fs');

const base = process.env.CLARIFAI_API_BASE || 'https://api.clarifai.com';

async function call(name, method, path, headers, payload = {}) {
  const answer = await fetch(`${base}/v2${path}`, {
    method,
    headers: {'Content-Type': 'application/json', ...headers},
    // As many scripts do, it sends a body with whatever takes one.
    body: method === 'GET' ? undefined : JSON.stringify(payload),
  });
  const data = await answer.json();
  console.log(JSON.stringify({call: name, http: answer.status, code: data.status.code}));
  return data;
}

async function must(...args) {
  const data = await call(...args);
  if (data.status.code !== 10000) {
    throw new Error(`${args[0]}: ${JSON.stringify(data.status)}`);
  }
  return data;
}

async function main() {
  const [email, password] = fs.readFileSync(0, 'utf8').split('\n');

  const login = await must('login', 'POST', '/login', {}, {email, password});
  const user = login.v2_user_id;
  const session = {'X-Clarifai-Session-Token': login.session_token};

  const apps = await must('create app', 'POST', `/users/${user}/apps`, session, {
    apps: [{name: 'made by a program', default_workflow_id: 'General'}],
  });
  const app = apps.apps[0].id;

  const keys = await must('create key', 'POST', `/users/${user}/keys`, session, {
    keys: [{
      description: 'Made by a program',
      scopes: ['All'],
      apps: [{id: app, user_id: user}],
    }],
  });
  const key = {Authorization: 'Key ' + keys.keys[0].id};

  const picture = {inputs: [{data: {image: {url: 'https://example.com/train.jpg'}}}]};
  await must('predict', 'POST', '/models/general-image-recognition/outputs', key, picture);
  await must('list inputs', 'GET', '/inputs?page=1&per_page=20', key);
  await must('list inputs of the app', 'GET', `/users/${user}/apps/${app}/inputs`, key);

  const tokens = await must('create token', 'POST', `/users/${user}/keys`, session, {
    keys: [{description: 'Made by a program', scopes: ['All'], type: 'personal_access_token', apps: []}],
  });
  const token = {Authorization: 'Key ' + tokens.keys[0].id};
  await must('list apps', 'GET', `/users/${user}/apps`, token);

  await must('delete app', 'DELETE', `/users/${user}/apps/${app}`, session);
  await call('predict afterwards', 'POST', '/models/general-image-recognition/outputs', key, picture);
  await call('list inputs afterwards', 'GET', '/inputs', key);
  await must('list apps afterwards', 'GET', `/users/${user}/apps`, token);
}

main().catch((error) => {
  console.error(error);
  process.exitCode = 1;
});
