package headrace.obs;

import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.security.GeneralSecurityException;
import java.security.KeyStore;
import java.security.cert.Certificate;
import java.security.cert.CertificateFactory;
import javax.net.ssl.TrustManager;
import javax.net.ssl.TrustManagerFactory;
import javax.net.ssl.X509TrustManager;

/** Makes this JVM trust an operator's certificates besides its own: the S3 client knows no trust store but the JVM's. */
final class Trust {

    private static final String STORE = "javax.net.ssl.trustStore";
    private static final String PASSWORD = "changeit"; // a trust store holds nothing secret
    private static File added;

    static synchronized void add(File certificates) throws IOException {
        if (certificates.equals(added)) {
            return;
        }
        try {
            KeyStore all = KeyStore.getInstance("PKCS12");
            all.load(null, null);
            TrustManagerFactory known = TrustManagerFactory.getInstance(TrustManagerFactory.getDefaultAlgorithm());
            known.init((KeyStore) null);
            int number = 0;
            for (TrustManager manager : known.getTrustManagers()) {
                if (manager instanceof X509TrustManager) {
                    for (Certificate one : ((X509TrustManager) manager).getAcceptedIssuers()) {
                        all.setCertificateEntry("known" + number++, one);
                    }
                }
            }
            try (InputStream in = new FileInputStream(certificates)) {
                for (Certificate one : CertificateFactory.getInstance("X.509").generateCertificates(in)) {
                    all.setCertificateEntry("given" + number++, one);
                }
            }
            File store = File.createTempFile("trusted", ".p12");
            store.deleteOnExit();
            try (OutputStream out = new FileOutputStream(store)) {
                all.store(out, PASSWORD.toCharArray());
            }
            System.setProperty(STORE, store.getPath());
            System.setProperty(STORE + "Type", "PKCS12");
            System.setProperty(STORE + "Password", PASSWORD);
            added = certificates;
        } catch (GeneralSecurityException e) {
            throw new IOException("The certificates in " + certificates + " cannot be used", e);
        }
    }

    private Trust() {}
}
