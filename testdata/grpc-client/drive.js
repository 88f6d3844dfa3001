// Makes calls with published gRPC and gRPC-Web clients, as it is told to.
//
// Every line of standard input is one call, a JSON object:
//   client     one of the names below
//   base       host and port
//   tls        over TLS; NODE_EXTRA_CA_CERTS and, for gRPC,
//              GRPC_DEFAULT_SSL_ROOTS_FILE_PATH name the certificate to trust
//   method     of clarifai.api.V2
//   metadata   name and value; a name in -bin has its value in base64
//   send       how many messages to send; each names alice's app
//   size       of a message, about
//   hold       leave the client's side of the stream open
//   other      the number of a message that names another's app, from 1
//   await      send no message before the last one is answered
//   timeout    in milliseconds; absent: none
// Every line of standard output is what the client saw of that call:
//   first      true: the first message has come, and the call goes on; such a
//              line is there for a call with hold alone, before the other
//   received   how many messages came
//   code, message, details    of the status
//   header, trailer           the metadata of both
//   error      what went wrong otherwise
// A call is made when its line arrives, so the writer of the lines can change
// something between two calls. Credentials come by standard input because
// arguments and the environment can be read by others.
'use strict';

const readline = require('node:readline');
const {create, createFileRegistry} = require('@bufbuild/protobuf');
const {FieldDescriptorProto_Type, FileDescriptorSetSchema} = require('@bufbuild/protobuf/wkt');
const {ConnectError} = require('@connectrpc/connect');
const {findTrailerError} = require('@connectrpc/connect/protocol-grpc');
const {createGrpcWebTransport} = require('@connectrpc/connect-web');
const {ClarifaiStub, grpc} = require('clarifai-nodejs-grpc');
const grpcWeb = require('grpc-web');
const {JSDOM} = require('jsdom');

const service = 'clarifai.api.V2';

// Clarifai's client chooses TLS by itself. Its class takes other credentials,
// and knows how messages are written.
const V2 = ClarifaiStub.grpc('localhost:1').constructor;

const clients = {
  'clarifai': clarifai,
  'connect-web': connectWeb,
  'grpc-web': (call, first) => googleWeb(call, first, 'binary'),
  'grpc-web-text': (call, first) => googleWeb(call, first, 'text'),
};

const message = ({size = 0, other}, n = 1) => ({
  user_app_id: n === other ? {user_id: 'bob', app_id: 'farm'} : {user_id: 'alice', app_id: 'shop'},
  model_id: 'model-1',
  inputs: [{id: 'x'.repeat(size)}],
});

// details are those of grpc-status-details-bin. grpc-js leaves reading them to
// others.
function details(error) {
  return error ? error.details.map(({type, value}) => ({type, value: Buffer.from(value).toString('base64')})) : [];
}

function plain(entries) {
  const all = {};
  for (const [name, value] of entries) {
    all[name] = Buffer.isBuffer(value) ? value.toString('base64') : String(value);
  }
  return all;
}

const stubs = new Map();

function clarifai(call, first) {
  const {base, tls, method, metadata, send = 1, hold, await: wait, timeout} = call;
  const at = (tls ? 'https://' : 'http://') + base;
  if (!stubs.has(at)) {
    stubs.set(at, tls ? ClarifaiStub.grpc(base) : new V2(base, grpc.credentials.createInsecure()));
  }
  const stub = stubs.get(at);
  const md = new grpc.Metadata();
  for (const [name, value] of Object.entries(metadata || {})) {
    md.set(name, name.endsWith('-bin') ? Buffer.from(value, 'base64') : value);
  }
  const options = timeout ? {deadline: Date.now() + timeout} : {};
  const {requestStream, responseStream} = V2.service[method];

  return new Promise((resolve) => {
    let received = 0;
    let header = {};
    let error;
    const note = (data) => {
      received++;
      // The stand-in numbers its messages.
      if (Number(data.status.description) !== received) {
        error = `message ${received} is ${data.status.description}`;
      }
      if (received === 1 && hold) {
        first();
      }
    };
    let stream;
    if (responseStream) {
      stream = requestStream ? stub[method](md, options) : stub[method](message(call), md, options);
      stream.on('data', note);
      stream.on('error', () => {}); // status says it too
    } else {
      stream = stub[method](message(call), md, options, (_, data) => data && note(data));
    }
    stream.on('metadata', (md) => {
      header = plain(Object.keys(md.getMap()).map((name) => [name, md.get(name)[0]]));
    });
    stream.on('status', ({code, details: text, metadata: md}) => {
      const trailer = plain(Object.keys(md.getMap()).map((name) => [name, md.get(name)[0]]));
      // Of the call's own events, a unary one's message comes after this.
      setImmediate(() => resolve({
        received, code, message: text, header, trailer, error,
        details: details(code !== 0 && trailer['grpc-status-details-bin'] && findTrailerError(new Headers({
          'grpc-status': String(code), 'grpc-status-details-bin': trailer['grpc-status-details-bin'],
        }))),
      }));
    });
    if (requestStream) {
      // As fast as the stream takes them, or the server answers.
      let sent = 0;
      const go = () => {
        while (sent < send) {
          sent++;
          const room = stream.write(message(call, sent));
          if (sent < send && (wait || !room)) {
            stream.once(wait ? 'data' : 'drain', go);
            return;
          }
        }
        if (!hold) {
          stream.end();
        }
      };
      go();
    }
  });
}

// web describes as much of Clarifai's messages as the calls need, for a client
// that is otherwise given generated code.
const web = (() => {
  const {STRING, INT32, MESSAGE} = FieldDescriptorProto_Type;
  const text = (name, number) => ({name, number, type: STRING, label: 1});
  const sub = (name, number, typeName, label = 1) => ({name, number, type: MESSAGE, typeName: '.clarifai.api.' + typeName, label});
  const method = (name, serverStreaming) => ({
    name, serverStreaming, inputType: '.clarifai.api.Request', outputType: '.clarifai.api.Response',
  });
  return createFileRegistry(create(FileDescriptorSetSchema, {file: [{
    name: 'clarifai/api/service.proto', package: 'clarifai.api', syntax: 'proto3',
    messageType: [
      {name: 'UserAppIDSet', field: [text('user_id', 1), text('app_id', 2)]},
      {name: 'Input', field: [text('id', 1)]},
      {name: 'Request', field: [sub('user_app_id', 1, 'UserAppIDSet'), text('model_id', 2), sub('inputs', 4, 'Input', 3)]},
      {name: 'Status', field: [{name: 'code', number: 1, type: INT32, label: 1}, text('description', 2)]},
      {name: 'Response', field: [sub('status', 1, 'Status')]},
    ],
    service: [{name: 'V2', method: [method('PostModelOutputs', false), method('GenerateModelOutputs', true)]}],
  }]})).getService(service);
})();

async function connectWeb(call) {
  const {base, tls, metadata, timeout} = call;
  const transport = createGrpcWebTransport({baseUrl: (tls ? 'https://' : 'http://') + base});
  const method = web.methods.find(({name}) => name === call.method);
  const {user_app_id, model_id, inputs} = message(call);
  const sent = {userAppId: {userId: user_app_id.user_id, appId: user_app_id.app_id}, modelId: model_id, inputs};
  let received = 0;
  try {
    let response;
    if (method.methodKind === 'unary') {
      response = await transport.unary(method, undefined, timeout, metadata, sent);
      received++;
    } else {
      response = await transport.stream(method, undefined, timeout, metadata, (async function* () { yield sent; })());
      for await (const {status} of response.message) {
        if (Number(status.description) !== ++received) {
          return {error: `message ${received} is ${status.description}`};
        }
      }
    }
    return {received, code: 0, header: plain(response.header), trailer: plain(response.trailer)};
  } catch (err) {
    if (!(err instanceof ConnectError)) {
      throw err;
    }
    return {received, code: err.code, message: err.rawMessage, details: details(err), trailer: plain(err.metadata)};
  }
}

// A browser's page, which may call only what CORS lets it, and read only what
// CORS shows it.
const page = new JSDOM('', {url: 'https://app.example.com/'});
global.XMLHttpRequest = page.window.XMLHttpRequest;
// The page says on the console what it keeps from a script; the client's
// answer shows that too.
page.virtualConsole.removeAllListeners('jsdomError');

function googleWeb(call, first, format) {
  const {base, tls, method, metadata = {}} = call;
  const client = new grpcWeb.GrpcWebClientBase({format});
  const {path, requestSerialize, responseDeserialize, responseStream} = V2.service[method];
  const type = responseStream ? grpcWeb.MethodType.SERVER_STREAMING : grpcWeb.MethodType.UNARY;
  const descriptor = new grpcWeb.MethodDescriptor(path, type, Object, Object,
    (request) => new Uint8Array(requestSerialize(request)), (bytes) => responseDeserialize(Buffer.from(bytes)));
  const url = (tls ? 'https://' : 'http://') + base + path;

  return new Promise((resolve) => {
    let received = 0;
    const failed = (error) => resolve({received, code: error.code, message: error.message, trailer: error.metadata});
    if (responseStream) {
      client.serverStreaming(url, message(call), metadata, descriptor)
        .on('data', () => { received++; })
        .on('error', failed)
        .on('end', () => resolve({received, code: 0}));
    } else {
      client.rpcCall(url, message(call), metadata, descriptor, (error) => {
        error ? failed(error) : resolve({received: 1, code: 0});
      });
    }
  });
}

async function main() {
  const say = (line) => console.log(JSON.stringify(line));
  for await (const line of readline.createInterface({input: process.stdin})) {
    const call = JSON.parse(line);
    try {
      say(await clients[call.client](call, () => say({first: true})));
    } catch (error) {
      say({error: String(error.stack || error)});
    }
  }
  // Connections are kept for calls that might come.
  process.exit();
}

main();
