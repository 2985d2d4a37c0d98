// An EST client by BouncyCastle: Est.java SERVER CA.pem LABEL|- CLIENT enroll|reenroll NAME SERIAL
// CLIENT.pem and CLIENT.key say who asks; the new pair is written to NAME.pem and NAME.key.

import java.io.FileReader;
import java.io.StringWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.KeyStore;
import java.security.PrivateKey;
import java.security.Security;
import java.security.cert.Certificate;
import java.security.cert.TrustAnchor;
import java.security.cert.X509Certificate;
import java.security.spec.ECGenParameterSpec;
import java.util.Collections;
import javax.net.ssl.KeyManagerFactory;
import org.bouncycastle.asn1.ASN1ObjectIdentifier;
import org.bouncycastle.asn1.pkcs.PKCSObjectIdentifiers;
import org.bouncycastle.asn1.pkcs.PrivateKeyInfo;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.Extensions;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.jcajce.JcaX509CertificateConverter;
import org.bouncycastle.est.CACertsResponse;
import org.bouncycastle.est.CSRRequestResponse;
import org.bouncycastle.est.EnrollmentResponse;
import org.bouncycastle.est.ESTService;
import org.bouncycastle.est.jcajce.JcaJceUtils;
import org.bouncycastle.est.jcajce.JsseESTServiceBuilder;
import org.bouncycastle.jce.provider.BouncyCastleProvider;
import org.bouncycastle.openssl.PEMParser;
import org.bouncycastle.openssl.jcajce.JcaPEMKeyConverter;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.pkcs.jcajce.JcaPKCS10CertificationRequestBuilder;
import org.bouncycastle.util.io.pem.PemObject;

public class Est {
    static Object read(String file) throws Exception {
        try (PEMParser parser = new PEMParser(new FileReader(file))) {
            return parser.readObject();
        }
    }

    static void write(String file, Object value) throws Exception {
        StringWriter text = new StringWriter();
        try (JcaPEMWriter writer = new JcaPEMWriter(text)) {
            writer.writeObject(value);
        }
        Files.writeString(Path.of(file), text.toString());
    }

    public static void main(String[] arguments) throws Exception {
        String server = arguments[0], label = arguments[2], client = arguments[3], name = arguments[5];
        boolean renewal = arguments[4].equals("reenroll");
        Security.addProvider(new BouncyCastleProvider());
        JcaX509CertificateConverter converter = new JcaX509CertificateConverter();
        X509Certificate root = converter.getCertificate((X509CertificateHolder) read(arguments[1]));
        X509CertificateHolder own = (X509CertificateHolder) read(client + ".pem");
        Object stored = read(client + ".key");
        PrivateKeyInfo info = stored instanceof PrivateKeyInfo
            ? (PrivateKeyInfo) stored
            : ((org.bouncycastle.openssl.PEMKeyPair) stored).getPrivateKeyInfo();
        PrivateKey key = new JcaPEMKeyConverter().getPrivateKey(info);

        KeyStore keys = KeyStore.getInstance("PKCS12");
        keys.load(null, null);
        keys.setKeyEntry("own", key, new char[0], new Certificate[] {converter.getCertificate(own)});
        KeyManagerFactory managers = KeyManagerFactory.getInstance("SunX509");
        managers.init(keys, new char[0]);
        JsseESTServiceBuilder builder = new JsseESTServiceBuilder(
            server, JcaJceUtils.getCertPathTrustManager(Collections.singleton(new TrustAnchor(root, null)), null));
        builder.withKeyManagers(managers.getKeyManagers());
        if (!label.equals("-")) {
            builder.withLabel(label);
        }
        ESTService est = builder.build();

        CACertsResponse authorities = est.getCACerts();
        System.out.println("ca certificates: " + authorities.getCertificateStore().getMatches(null).size());
        CSRRequestResponse attributes = est.getCSRAttributes();
        for (ASN1ObjectIdentifier wanted : attributes.getAttributesResponse().getRequirements()) {
            System.out.println("attributes: " + wanted);
        }

        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        KeyPair pair = generator.generateKeyPair();
        X500Name subject = renewal ? own.getSubject() : new X500Name("SERIALNUMBER=" + arguments[6]);
        JcaPKCS10CertificationRequestBuilder request =
            new JcaPKCS10CertificationRequestBuilder(subject, pair.getPublic());
        if (renewal) {
            Extension names = own.getExtension(Extension.subjectAlternativeName);
            request.addAttribute(PKCSObjectIdentifiers.pkcs_9_at_extensionRequest, new Extensions(names));
        }
        EnrollmentResponse answer = est.simpleEnroll(
            renewal, request.build(new JcaContentSignerBuilder("SHA256withECDSA").build(pair.getPrivate())), null);
        write(name + ".key", new PemObject("PRIVATE KEY", pair.getPrivate().getEncoded()));
        write(name + ".pem", answer.getStore().getMatches(null).iterator().next());
    }
}
