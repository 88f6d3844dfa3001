// Makes calls with Clarifai's published client, as it is told to.
//
// Every line of standard input is one call, a JSON object:
//   call       one of the names below
//   base       where the API stands
//   client     further options of the client: apiKey, token or sessionToken,
//              and userId and appId for paths that name the app
// Every line of standard output is what the client saw of that call:
//   status     of HTTP
//   data       the ids of what came back, where the call went well
//   code, missing_scopes    of the answer, where it didn't
//   error      what went wrong otherwise
// A call is made when its line arrives, so the writer of the lines can change
// something between two calls. Credentials come by standard input because
// arguments and the environment can be read by others.
'use strict';

const readline = require('node:readline');
const axios = require('axios');
const Clarifai = require('clarifai');

const calls = {
  'predict': (app) => app.models.predict(Clarifai.GENERAL_MODEL, 'https://example.com/train.jpg')
    .then((answer) => answer.outputs[0].data.concepts),
  'list inputs': (app) => app.inputs.list(),
  'create concepts': (app) => app.concepts.create([{id: 'train'}, {id: 'rail'}]),
  'list models': (app) => app.models.list(),
};

// The client hands on the data alone, so the status is noted on its way there.
let status;
axios.interceptors.response.use((response) => {
  status = response.status;
  return response;
});

// One app for all calls with the same options: a credential that is revoked is
// revoked under a client that goes on, connections and all.
const apps = new Map();

function appOf(base, client) {
  const key = JSON.stringify([base, client]);
  if (!apps.has(key)) {
    apps.set(key, new Clarifai.App({apiEndpoint: base, ...client}));
  }
  return apps.get(key);
}

async function make({call, base, client}) {
  try {
    const list = await calls[call](appOf(base, client));
    return {status, data: Array.from(list, (element) => element.id)};
  } catch (error) {
    if (!error.response) {
      return {error: String(error)};
    }
    const {code, missing_scopes} = error.response.data.status || {};
    return {status: error.response.status, code, missing_scopes};
  }
}

async function main() {
  for await (const line of readline.createInterface({input: process.stdin})) {
    console.log(JSON.stringify(await make(JSON.parse(line))));
  }
}

main();
