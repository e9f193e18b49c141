// A QuickFIX acceptor that answers every NewOrderSingle with one ExecutionReport: nothing checked, nothing sent on.
// Build: make -C bench/peers/quickfix   (needs Debian's libquickfix-dev)
// Use:   acceptor file|memory DIRECTORY CORE PORT, started by `tollgate-bench quickfix` and `latency --quickfix`
#include <quickfix/Application.h>
#include <quickfix/FileStore.h>
#include <quickfix/MessageCracker.h>
#include <quickfix/SessionSettings.h>
#include <quickfix/SocketAcceptor.h>
#include <quickfix/fix42/ExecutionReport.h>
#include <quickfix/fix42/NewOrderSingle.h>

#include <sched.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <memory>
#include <sstream>
#include <string>

class Answerer : public FIX::Application, public FIX::MessageCracker {
    unsigned long next_ = 0;

    void onCreate(const FIX::SessionID &) override {}
    void onLogon(const FIX::SessionID &) override {}
    void onLogout(const FIX::SessionID &) override {}
    void toAdmin(FIX::Message &, const FIX::SessionID &) override {}
    void toApp(FIX::Message &, const FIX::SessionID &) noexcept override {}
    void fromAdmin(const FIX::Message &, const FIX::SessionID &) noexcept override {}
    void fromApp(const FIX::Message &message, const FIX::SessionID &session) noexcept override {
        try {
            crack(message, session);
        } catch (const std::exception &error) {
            std::cerr << error.what() << std::endl;
        }
    }

    void onMessage(const FIX42::NewOrderSingle &order, const FIX::SessionID &session) override {
        FIX::Symbol symbol;
        FIX::Side side;
        FIX::OrderQty quantity;
        FIX::ClOrdID client_id;
        order.get(symbol);
        order.get(side);
        order.get(quantity);
        order.get(client_id);
        const std::string id = std::to_string(++next_);
        FIX42::ExecutionReport report{FIX::OrderID{id}, FIX::ExecID{id}, FIX::ExecTransType{FIX::ExecTransType_NEW},
                                      FIX::ExecType{FIX::ExecType_NEW}, FIX::OrdStatus{FIX::OrdStatus_NEW}, symbol,
                                      side, FIX::LeavesQty{quantity}, FIX::CumQty{0}, FIX::AvgPx{0}};
        report.set(client_id);
        FIX::Session::sendToTarget(report, session);
    }
};

int main(int count, char **arguments) {
    if (count != 5) {
        std::cerr << "usage: acceptor file|memory DIRECTORY CORE PORT\n";
        return 2;
    }
    cpu_set_t cores;
    CPU_ZERO(&cores);
    CPU_SET(std::atoi(arguments[3]), &cores);
    // Every thread made from here on inherits it.
    if (sched_setaffinity(0, sizeof cores, &cores) != 0) {
        std::cerr << "cannot run on core " << arguments[3] << "\n";
        return 1;
    }
    std::istringstream text(std::string("[DEFAULT]\nConnectionType=acceptor\nSocketAcceptPort=") + arguments[4] +
                            "\nSocketReuseAddress=Y\nSocketNodelay=Y\nStartTime=00:00:00\nEndTime=00:00:00\n"
                            "HeartBtInt=3600\nUseDataDictionary=N\nCheckLatency=N\nResetOnLogon=Y\nFileStorePath=" +
                            arguments[2] +
                            "\n[SESSION]\nBeginString=FIX.4.2\nSenderCompID=PEER\nTargetCompID=BENCH\n");
    const FIX::SessionSettings settings(text);
    Answerer application;
    std::unique_ptr<FIX::MessageStoreFactory> stores;
    if (std::string(arguments[1]) == "file") {
        stores = std::make_unique<FIX::FileStoreFactory>(settings);
    } else {
        stores = std::make_unique<FIX::MemoryStoreFactory>();
    }
    FIX::SocketAcceptor acceptor(application, *stores, settings);
    acceptor.start();
    const std::string address = std::string("127.0.0.1:") + arguments[4];
    std::cout << address << " " << address << std::endl;
    char byte;
    // Until whoever started this closes the other end.
    while (read(STDIN_FILENO, &byte, 1) > 0) {
    }
    acceptor.stop(true);
    return 0;
}
