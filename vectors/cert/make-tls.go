// Writes tls/: CA and server certificate as the Go original of talosctl-oidc wrote them.
// go run make-tls.go
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"time"
)

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func write(name, label string, der []byte) {
	block := pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	check(os.WriteFile("tls/"+name, block, 0o644))
}

func template(name string) *x509.Certificate {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 128))
	check(err)
	return &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: name, Organization: []string{"talosctl-oidc"}},
		NotBefore:             time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:              time.Date(2099, 12, 31, 23, 59, 59, 0, time.UTC),
		BasicConstraintsValid: true,
	}
}

func key(name string) *ecdsa.PrivateKey {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(err)
	der, err := x509.MarshalECPrivateKey(key)
	check(err)
	write(name, "EC PRIVATE KEY", der)
	return key
}

func main() {
	check(os.MkdirAll("tls", 0o755))
	caKey, serverKey := key("ca.key"), key("server.key")
	ca := template("talosctl-oidc self-signed CA")
	ca.IsCA = true
	ca.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, ca, ca, &caKey.PublicKey, caKey)
	check(err)
	write("ca.crt", "CERTIFICATE", der)
	// The signed CA has the key identifier that CreateCertificate computed.
	ca, err = x509.ParseCertificate(der)
	check(err)
	server := template("talosctl-oidc server")
	server.KeyUsage = x509.KeyUsageDigitalSignature
	server.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	server.DNSNames = []string{"localhost"}
	server.IPAddresses = []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	der, err = x509.CreateCertificate(rand.Reader, server, ca, &serverKey.PublicKey, caKey)
	check(err)
	write("server.crt", "CERTIFICATE", der)
}
