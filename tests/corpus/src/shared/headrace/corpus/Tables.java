package headrace.corpus;

import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.TableEnvironment;

/** Writes a row into a table of the connector that is named. */
final class Tables {

    static void run(String connector) throws Exception {
        TableEnvironment tables = TableEnvironment.create(EnvironmentSettings.newInstance().inBatchMode().build());
        tables.executeSql("CREATE TABLE target (n INT) WITH ('connector' = '" + connector + "')");
        tables.executeSql("INSERT INTO target VALUES (1)").await();
    }

    private Tables() {}
}
