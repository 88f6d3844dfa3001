//go:build linux

package etcdtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// TLS has members speak TLS with clients, and ask them for a certificate.
// Certificate and Key are files for both sides.
func TLS() Option {
	return func(c *Cluster) { c.scheme = "https" }
}

// Certificate returns the file of a certificate that signs itself. It is that of
// the members, of clients, and of the authority. It needs the option TLS.
func (c *Cluster) Certificate() string { return filepath.Join(c.dir, "cert.pem") }

// Key returns the file of the certificate's key.
func (c *Cluster) Key() string { return filepath.Join(c.dir, "key.pem") }

// makeCertificate makes the certificate, and has members and the harness's own
// clients use it.
func (c *Cluster) makeCertificate() error {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "etcd"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage:    x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
		IsCA:        true, BasicConstraintsValid: true,
	}
	for _, h := range c.hosts {
		template.IPAddresses = append(template.IPAddresses, h.addr.AsSlice())
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	certPEM := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	keyPEM := pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})
	if err := errors.Join(os.WriteFile(c.Certificate(), certPEM, 0o600), os.WriteFile(c.Key(), keyPEM, 0o600)); err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(certPEM, keyPEM)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certPEM)
	c.tls = &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	c.args = append(c.args, "--cert-file="+c.Certificate(), "--key-file="+c.Key(), "--client-cert-auth", "--trusted-ca-file="+c.Certificate())
	return nil
}
