// An upstream whose parsers are Node's: llhttp for messages, URL and
// URLSearchParams for targets. What it makes of each request is a line of JSON
// on its standard output, written before the request is answered. Its argument
// is the list of operations, as "METHOD /pattern"; the first line that it
// writes is its port. A line on its standard input comes back as it is, and
// the end of its input is its own.

import http from 'node:http'
import { createInterface } from 'node:readline'

const say = (report) => process.stdout.write(JSON.stringify(report) + '\n')

const routes = JSON.parse(process.argv[2]).map((name) => {
	const [method, pattern] = name.split(' ')
	const segments = pattern.split('/').slice(1)
	const rank = segments.map((s) => (s.endsWith('=**}') ? 2 : s.startsWith('{') ? 1 : 0)).join('')
	return { name, method, segments, rank: (method === 'grpc' ? '0' : '1') + rank }
})
// A literal goes before a variable, that before the rest.
routes.sort((a, b) => (a.rank < b.rank ? -1 : a.rank > b.rank ? 1 : 0))

function answers(route, method, grpc) {
	switch (route.method) {
		case 'grpc':
			return grpc && method === 'POST'
		case '*':
			return true
		default:
			return route.method === method || (route.method === 'GET' && method === 'HEAD')
	}
}

// match is what a route's variables are, or null where it isn't the path's.
function match(route, segments) {
	const variables = {}
	for (const [i, want] of route.segments.entries()) {
		if (want.endsWith('=**}')) return variables
		if (i >= segments.length) return null
		if (!want.startsWith('{')) {
			if (want !== segments[i]) return null
		} else if (segments[i] === '') {
			return null
		} else {
			variables[want.slice(1, -1)] = segments[i]
		}
	}
	return segments.length === route.segments.length ? variables : null
}

function read(request) {
	const report = { method: request.method, target: request.url, headers: [], variables: {}, query: [] }
	const raw = request.rawHeaders
	for (let i = 0; i < raw.length; i += 2) report.headers.push([raw[i], raw[i + 1]])
	report.tag = request.headers['x-forwarded-tag'] ?? ''
	try {
		const url = new URL(request.url, 'http://upstream')
		report.host = url.host
		report.query = [...url.searchParams]
		report.path = decodeURIComponent(url.pathname)
		const segments = url.pathname.split('/').slice(1).map(decodeURIComponent)
		const grpc = (request.headers['content-type'] ?? '').toLowerCase().startsWith('application/grpc')
		for (const route of routes) {
			const variables = answers(route, request.method, grpc) ? match(route, segments) : null
			if (variables) {
				report.operation = route.name
				report.variables = variables
				break
			}
		}
	} catch (e) {
		report.error = String(e)
	}
	return report
}

// fields are what a body of JSON or of a form holds, as [name, text]; names of
// objects within others are joined by dots, and lists are no level.
function fields(text, type) {
	const list = []
	const walk = (name, value) => {
		if (typeof value === 'string') list.push([name, value])
		else if (Array.isArray(value)) value.forEach((v) => walk(name, v))
		else if (value) for (const [k, v] of Object.entries(value)) walk(name === '' ? k : name + '.' + k, v)
	}
	try {
		walk('', JSON.parse(text))
	} catch {
		// It isn't JSON.
	}
	if (type.toLowerCase().includes('x-www-form-urlencoded')) list.push(...new URLSearchParams(text))
	return list
}

function take(request, response) {
	const report = read(request)
	const body = []
	request.on('data', (chunk) => body.push(chunk))
	request.on('error', () => {}) // it has been broken off, which 'close' says
	request.on('close', () => {
		if (!request.complete) say({ ...report, body: Buffer.concat(body).toString('latin1') })
	})
	request.on('end', () => {
		report.trailers = request.rawTrailers
		report.fields = fields(Buffer.concat(body).toString(), request.headers['content-type'] ?? '')
		say({ ...report, whole: true, body: Buffer.concat(body).toString('latin1') })
		response.writeHead(200, { 'X-Upstream-Tag': report.tag, 'Content-Type': 'text/plain' })
		response.end('reached')
	})
}

const server = http.createServer({ keepAliveTimeout: 0, headersTimeout: 0, requestTimeout: 0 })
server.on('request', take)
server.on('checkExpectation', take)
// What leaves HTTP is a report too: nothing may.
for (const event of ['upgrade', 'connect']) {
	server.on(event, (request, socket) => {
		say({ ...read(request), error: event })
		socket.destroy()
	})
}
server.on('clientError', (e, socket) => {
	// Connections end at any time, and in the middle of a request.
	if (String(e.code).startsWith('HPE_') && e.code !== 'HPE_INVALID_EOF_STATE') {
		say({ refused: e.code, body: e.rawPacket?.toString('latin1') ?? '' })
	}
	if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
})
server.listen(0, '127.0.0.1', () => process.stdout.write(server.address().port + '\n'))

createInterface({ input: process.stdin })
	.on('line', (line) => say({ echo: line }))
	.on('close', () => process.exit())
