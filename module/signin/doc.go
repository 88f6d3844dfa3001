// Package signin checks passwords and second factors, and slows down guessing.
package signin
