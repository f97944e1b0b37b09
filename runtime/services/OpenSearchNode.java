import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashMap;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import org.opensearch.cluster.service.ClusterService;
import org.opensearch.common.logging.LogConfigurator;
import org.opensearch.common.settings.Settings;
import org.opensearch.env.Environment;
import org.opensearch.node.InternalSettingsPreparer;
import org.opensearch.node.Node;
import org.opensearch.plugins.Plugin;

/**
 * Starts one OpenSearch node in the foreground: OpenSearchNode PROGRAMS CONFIGURATION PLUGIN_CLASS...
 *
 * <p>OpenSearch's own start refuses to run as root, wants limits that containers don't give, and installs a security
 * manager that Java no longer has. A node for one machine's loopback needs none of that.
 */
public final class OpenSearchNode {
    private static final class LocalNode extends Node {
        LocalNode(Environment environment, Collection<Class<? extends Plugin>> plugins) {
            super(environment, plugins, true);
        }

        @Override
        protected void configureNodeAndClusterIdStateListener(ClusterService clusterService) {
            // it names the node in log lines by a static that a log configured before the node can't see
        }
    }

    public static void main(String[] arguments) throws Exception {
        Path programs = Paths.get(arguments[0]).toAbsolutePath();
        Path configuration = Paths.get(arguments[1]).toAbsolutePath();
        List<Class<? extends Plugin>> plugins = new ArrayList<>();
        for (int i = 2; i < arguments.length; i++) {
            plugins.add(Class.forName(arguments[i]).asSubclass(Plugin.class));
        }
        Settings settings = Settings.builder().put("path.home", programs.toString()).build();
        Environment environment =
            InternalSettingsPreparer.prepareEnvironment(settings, new HashMap<>(), configuration, () -> "node-1");
        LogConfigurator.registerErrorListener();
        LogConfigurator.configure(environment);
        Node node = new LocalNode(environment, plugins);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                node.close();
            } catch (Exception error) {
                error.printStackTrace();
            }
        }));
        node.start();
        new CountDownLatch(1).await();
    }
}
